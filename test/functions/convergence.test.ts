/** @jest-environment ./test/support/native-arrays.ts */
import { evaluateWeights } from '../../functions/evaluate';
import { realDigits } from '../support/digits';
import { Rig, type RigOptions } from './rig';

/*
 * What lossy synchronisation costs in accuracy and saves in bytes, on real digits: every method trains the same network from
 * the same parameters on the same samples in the same order. SMLT_TABLE=1 prints the table of docs/compression.md.
 */
const TRAIN = 4_000;
const TEST = 1_000;
const STEPS = 120;
const BATCH = 128;
const WORKERS = 4;
jest.setTimeout(120_000);

const job: RigOptions = {
  layers: ['flatten', { dense: 64 }, 'relu', { dense: 10 }],
  lanes: 8,
  batchSize: BATCH,
  optimizer: { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  schedule: { kind: 'cosine', minimumFactor: 0.05, warmupSteps: 5 },
  totalSteps: STEPS,
  times: { waitMs: 20_000, giveUpMs: 60_000, lookMs: 1_000 },
};

interface Run {
  readonly accuracy: number;
  readonly loss: number;
  /** What all workers wrote and read for a batch's samples, whatever the number of batches that were one step. */
  readonly bytes: number;
}
const digits = realDigits(TRAIN, TEST);

async function train(options: RigOptions): Promise<Run> {
  const rig = await Rig.open({ ...job, ...options, data: digits.train });
  const { uri } = await rig.pack('test', digits.test);
  const track = rig.track('digits');
  const before = { ...rig.exchange.traffic };
  const { totalSteps: steps, batchSize } = rig.options;
  await track.round({ workers: WORKERS, steps });
  const { bytesRead, bytesWritten } = rig.exchange.traffic;
  const { sums } = await evaluateWeights(rig.world, {
    storeUri: rig.store.uri,
    programDigest: rig.programDigest,
    weights: { run: 'run', track: track.name, round: track.lastRound },
    dataUri: uri,
    start: 0,
    end: TEST,
    saveOutputs: 0,
  });
  await rig.close();
  const bytes = bytesRead - before.bytesRead + bytesWritten - before.bytesWritten;
  return { accuracy: sums.correct / sums.samples, loss: sums.lossSum / sums.samples, bytes: (bytes / (steps * batchSize)) * BATCH };
}

let exact: Run;
const rows: Record<string, Run> = {};
beforeAll(async () => (rows.none = exact = await train({})));
afterAll(() => {
  if (process.env.SMLT_TABLE)
    process.stdout.write(
      Object.entries(rows)
        .map(([name, { accuracy, loss, bytes }]) =>
          [name, accuracy.toFixed(3), loss.toFixed(3), Math.round(bytes / 1_000), (bytes / exact.bytes).toFixed(2)].join(' | '),
        )
        .join('\n') + '\n',
    );
});

it('without compression the network learns the digits', () => {
  expect(exact.accuracy).toBeGreaterThan(0.91);
});

const sgd = (learningRate: number, momentum = 0): RigOptions => ({
  optimizer: { kind: 'sgd', learningRate, momentum, nesterov: momentum > 0, weightDecay: 0 },
  schedule: { kind: 'constant', warmupSteps: 0 },
});
const averaging = sgd(1);
const diloco = sgd(0.7, 0.9);
/** The same samples in fewer updates. */
const localSteps = (steps: number, learningRate: number, outer: RigOptions): RigOptions => ({
  ...outer,
  localSteps: { steps, learningRate },
  batchSize: steps * BATCH,
  totalSteps: STEPS / steps,
});

const adamw = (steps: number, learningRate: number): RigOptions => ({
  ...localSteps(steps, learningRate, averaging),
  localSteps: { steps, learningRate, optimizer: { kind: 'adamw', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 } },
});

/** Accuracy may be so much lower, traffic must be at most this share. */
const methods: [string, RigOptions, { tolerance: number; share: number }][] = [
  ['bf16', { compression: { kind: 'bf16' } }, { tolerance: 0.01, share: 0.8 }],
  ['fp16', { compression: { kind: 'fp16' } }, { tolerance: 0.01, share: 0.8 }],
  ['qsgd, 8 bits', { compression: { kind: 'qsgd', bits: 8 } }, { tolerance: 0.01, share: 0.7 }],
  ['qsgd, 4 bits', { compression: { kind: 'qsgd', bits: 4 } }, { tolerance: 0.03, share: 0.65 }],
  ['top-k, density 0.1', { compression: { kind: 'top-k', density: 0.1 } }, { tolerance: 0.01, share: 0.65 }],
  ['top-k, density 0.01', { compression: { kind: 'top-k', density: 0.01 } }, { tolerance: 0.025, share: 0.55 }],
  ['significance, threshold 0.001', { compression: { kind: 'significance', threshold: 0.001 } }, { tolerance: 0.01, share: 0.7 }],
  ['significance, threshold 0.01', { compression: { kind: 'significance', threshold: 0.01 } }, { tolerance: 0.015, share: 0.6 }],
  ['none, SGD', sgd(0.5), { tolerance: 0.03, share: 0.85 }],
  ['4 local steps, averaged', localSteps(4, 0.5, averaging), { tolerance: 0.025, share: 0.85 / 4 }],
  ['8 local steps, averaged', localSteps(8, 0.5, averaging), { tolerance: 0.025, share: 0.85 / 8 }],
  ['8 local steps, DiLoCo', localSteps(8, 0.2, diloco), { tolerance: 0.02, share: 0.95 / 8 }],
  ['8 local steps of AdamW, averaged', adamw(8, 0.02), { tolerance: 0.005, share: 0.85 / 8 }],
  ['8 local steps, DiLoCo, bf16', { ...localSteps(8, 0.2, diloco), compression: { kind: 'bf16' } }, { tolerance: 0.02, share: 0.7 / 8 }],
];

it.each(methods)('%s keeps accuracy and moves less', async (name, options, { tolerance, share }) => {
  const run = (rows[name] = await train(options));
  expect(run.accuracy).toBeGreaterThanOrEqual(exact.accuracy - tolerance);
  expect(run.bytes / exact.bytes).toBeLessThan(share);
});
