import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { writeQuarters } from '../support/data';
import { startEngine } from '../support/engine';

/* Records histories of every stage for replay.test.ts: `npm run record:histories`. From the first tag on a version's folder is never overwritten. */
const HISTORIES = join(__dirname, 'histories', '0.1.0');

it('records a history of every stage', async () => {
  const engine = await startEngine();
  try {
    mkdirSync(HISTORIES, { recursive: true });
    const folder = (name: string) => join(engine.home, 'data', name);
    const job = {
      name: 'quarters',
      data: {
        train: writeQuarters(folder('train'), 512, 1),
        validation: writeQuarters(folder('validation'), 128, 2),
        test: writeQuarters(folder('test'), 128, 3),
      },
      model: { layers: ['flatten', { dense: 16 }, 'relu', { dense: 4 }] },
      loss: 'softmax-cross-entropy',
      training: { steps: 30, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
      allocation: { minWorkers: 2, maxWorkers: 2, stepsPerRound: 6 },
      tune: { trials: 2, parameters: { 'training.optimizer.learningRate': { logUniform: [0.003, 0.03] } } },
      deploy: { name: 'quarters' },
    };
    await engine.run('pipeline', 'whole', { job });
    await engine.setFaults([{ function: 'smlt-train-*', payload: { worker: 1 }, times: 2, action: { kind: 'kill', afterMs: 30 } }]);
    await engine.run('train', 'crashes', { job });
    await engine.setFaults([]);
    const endless = await engine.start('train', 'stopped', {
      job: { ...job, allocation: { minWorkers: 2, maxWorkers: 2, stepsPerRound: 2 }, training: { ...job.training, steps: 100_000 } },
    });
    // Beyond one continue-as-new, then stopped: both ends of a long training.
    for (let chain = 0; chain < 600 && (await endless.describe()).historyLength < 400; chain++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    await endless.executeUpdate('stop');
    await endless.result();
    await engine.run('cleanup', 'whole-cleanup', { run: 'whole', afterMs: 100 });
    for (const id of [
      'whole',
      'whole/profile',
      'whole/tune',
      'whole/tune/trial-000',
      'whole/tune/trial-001',
      'whole/train',
      'whole/evaluate',
      'whole/deploy',
      'whole-cleanup',
      'crashes',
      'stopped',
    ]) {
      const history = await engine.client.workflow.getHandle(id).fetchHistory();
      writeFileSync(join(HISTORIES, `${id.replaceAll('/', '.')}.json`), `${historyToJSON(history)}\n`);
    }
  } finally {
    await engine.close();
  }
}, 300_000);
