// One invocation of a function for bench/large-model.mjs: the request on stdin, the answer on stdout.
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const require = createRequire(import.meta.url);
const handlers = require('../../dist/functions/index.js');
const { role, request } = JSON.parse(await text(process.stdin));
console.log = () => undefined; // stdout is the answer's
const answer = await handlers[role](request, { getRemainingTimeInMillis: () => 900_000 });
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
