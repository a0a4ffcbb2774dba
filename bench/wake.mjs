// How long after a put begins its waiter in another process is awake, for each exchange whose URI is given.
// usage: npm run bench:wake -- --rounds 200 tmpfs: redis://127.0.0.1:6379 's3://BUCKET?endpoint=URL'
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { openExchange } = createRequire(import.meta.url)('../dist/storage/index.js');
// One clock for all processes of a machine, unlike performance.now().
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const name = (run, round) => `runs/${run}/train/abc/steps/${round}/params/0-64`;

if (process.send) {
  const [, , uri, run] = process.argv;
  const exchange = await openExchange(uri);
  process.on('message', async (round) => {
    // The waiter has looked, and waits for as long as workers do for a step.
    await sleep(5 + 20 * Math.random());
    const atMs = nowMs();
    await exchange.putValue(name(run, round), [new Uint8Array(1_000)]);
    process.send({ round, atMs });
  });
  process.on('disconnect', () => exchange.close());
  process.send('ready');
} else {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '200' } } });
  for (const uri of positionals) {
    const run = `wake-${process.pid}`;
    const exchange = await openExchange(uri);
    const child = fork(fileURLToPath(import.meta.url), [uri, run]);
    const heard = () => new Promise((resolve) => child.once('message', resolve));
    await heard();
    const tookMs = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const put = heard();
      child.send(round);
      const missing = await exchange.waitFor([name(run, round)], { timeoutMs: 10_000 });
      const awakeMs = nowMs();
      if (missing.length > 0) throw new Error(`${uri}: nobody was woken in round ${round}`);
      tookMs.push(awakeMs - (await put).atMs);
      await exchange.delete([name(run, round)]);
    }
    tookMs.sort((a, b) => a - b);
    const at = (share) => tookMs[Math.min(tookMs.length - 1, Math.floor(share * tookMs.length))].toFixed(2);
    console.log(`${uri.replace(/\?.*/, '')}: ms p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, of ${tookMs.length} puts of 1 kB`);
    child.disconnect();
    await exchange.close();
  }
}
