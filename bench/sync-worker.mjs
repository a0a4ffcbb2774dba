// One worker of bench/sync.mjs: scatter-reduce through an exchange, released by a line on stdin. usage: URI RANK WORKERS FLOATS
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const { openExchange } = require('../dist/storage/index.js');
const [uri, ...numbers] = process.argv.slice(2);
const [rank, workers, floats] = numbers.map(Number);
const exchange = await openExchange(uri);
const gradient = new Float32Array(floats).fill(rank + 1);
const result = new Float32Array(floats);
const ranges = Array.from({ length: workers }, (_, i) => ({
  start: Math.floor((floats * i) / workers),
  end: Math.floor((floats * (i + 1)) / workers),
}));
const cut = (vector, { start, end }) => vector.subarray(start, end);
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const own = ranges[rank];
const others = ranges.map((_, i) => i).filter((i) => i !== rank);
const received = others.map(() => new Float32Array(own.end - own.start));

async function take(wanted) {
  const reads = [];
  const missing = await exchange.waitFor([...wanted.keys()], { timeoutMs: 60_000 }, (name) => reads.push(exchange.getInto(name, wanted.get(name))));
  if (missing.length > 0 || (await Promise.all(reads)).includes(false)) throw new Error('a value is missing');
}

async function synchronise(step) {
  const partial = (node, { start, end }) => `runs/bench/train/x/steps/${step}/partials/${node}-${node + 1}/${start}-${end}`;
  const params = ({ start, end }) => `runs/bench/train/x/steps/${step}/params/${start}-${end}`;
  // As the product does: all ranges are published, the own one too.
  await Promise.all(ranges.map((range) => exchange.putValue(partial(rank, range), [bytes(cut(gradient, range))])));
  await take(new Map(others.map((i, at) => [partial(i, own), bytes(received[at])])));
  const nodes = ranges.map((_, i) => (i === rank ? cut(gradient, own).slice() : received[others.indexOf(i)]));
  for (let width = 1; width < workers; width *= 2)
    for (let i = 0; i + width < workers; i += 2 * width) for (let e = 0; e < nodes[i].length; e++) nodes[i][e] += nodes[i + width][e];
  cut(result, own).set(nodes[0]);
  await exchange.putValue(params(own), [bytes(cut(result, own))]);
  await take(new Map(others.map((i) => [params(ranges[i]), bytes(cut(result, ranges[i]))])));
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const before = process.cpuUsage();
  const { bytesWritten, bytesRead, requests } = exchange.traffic;
  await synchronise(Number(line));
  const { user, system } = process.cpuUsage(before);
  console.log('done'); // what the clock stops at; the check below is not a part of it
  const { traffic } = exchange;
  const wanted = (workers * (workers + 1)) / 2;
  let right = true;
  for (let i = 0; i < floats; i++) right &&= result[i] === wanted;
  result.fill(0);
  console.log(
    JSON.stringify({
      cpuMs: (user + system) / 1_000,
      right,
      bytes: traffic.bytesWritten - bytesWritten + traffic.bytesRead - bytesRead,
      requests: traffic.requests - requests,
    }),
  );
}
await exchange.close();
