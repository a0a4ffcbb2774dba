// Trains the digits twice, undisturbed and with SIGKILLs in the middle, and compares the weights bit by bit.
// usage: npm run example:crash     exit code 0 only when both digests are equal
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const { connect, readJobFile } = require('../../dist/client/index.js');

const made = spawnSync(process.execPath, [join(here, '..', 'digits', 'make-data.mjs')], { stdio: 'inherit' });
if (made.status !== 0) process.exit(1);

// A home of its own: what is killed here serves nobody else. The Temporal program is found where other runs left it.
const home = mkdtempSync(join(tmpdir(), 'smlt-crash-'));
const smlt = await connect({ home, ephemeral: true, log: (line) => console.log(line) });
const job = await readJobFile(join(here, '..', 'digits', 'job.json'));
delete job.tune;
delete job.evaluate;
delete job.deploy;
job.name = 'crash';
job.training = { ...job.training, epochs: undefined, steps: 200 };
job.allocation = { minWorkers: 2, maxWorkers: 2, stepsPerRound: 25 };

let failed = true;
try {
  const calm = await train('undisturbed', async () => undefined);
  const stormy = await train('killed', killThings);
  const same = calm === stormy && calm !== null;
  console.log(`\nundisturbed  ${calm}\nkilled       ${stormy}\n${same ? 'The same bits.' : 'NOT the same bits.'}`);
  failed = !same;
} catch (error) {
  console.error(error);
} finally {
  await smlt.close();
  rmSync(home, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function train(runId, disturb) {
  console.log(`\ntraining 200 steps with 2 workers: ${runId}`);
  const handle = await smlt.start(job, { runId });
  const result = handle.result();
  await Promise.all([result, disturb(runId, result)]);
  const record = await result;
  console.log(`${runId}: ${record.status}, ${record.step} steps, loss ${record.loss?.toFixed(4)}`);
  return record.weightsSha256;
}

/** Kills twice an instance that computes and once the Temporal worker, while the run trains. */
async function killThings(runId, result) {
  let done = false;
  void result.finally(() => (done = true)).catch(() => undefined);
  const { lambdaEndpoint } = devState();
  const kills = ['instance', 'worker', 'instance'];
  while (!done && kills.length > 0) {
    await sleep(400);
    const record = await smlt
      .handle(runId)
      .status()
      .catch(() => undefined);
    if (!record || record.stage !== 'train') continue;
    if (kills[0] === 'worker') {
      const pid = devState().processes.worker?.pid;
      if (pid === undefined) continue;
      console.log(`  step ${record.step}: kill -9 the Temporal worker (pid ${pid})`);
      process.kill(pid, 'SIGKILL');
    } else {
      const instances = await (await fetch(`${lambdaEndpoint}/smlt/instances`)).json();
      const busy = instances.find(({ state, function: name, pid }) => state === 'busy' && name.startsWith('smlt-train') && pid !== undefined);
      if (!busy) continue;
      console.log(`  step ${record.step}: kill -9 an instance of ${busy.function} that computes (pid ${busy.pid})`);
      process.kill(busy.pid, 'SIGKILL');
    }
    kills.shift();
  }
  if (kills.length > 0) throw new Error(`the run ended before everything was killed; left: ${kills.join(', ')}`);
}

function devState() {
  return JSON.parse(readFileSync(join(home, 'dev.json'), 'utf8'));
}
