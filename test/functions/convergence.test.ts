/** @jest-environment ./test/support/native-arrays.ts */
import type { Compression } from '../../contracts/compression';
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
const WORKERS = 4;
jest.setTimeout(120_000);

const job: RigOptions = {
  layers: ['flatten', { dense: 64 }, 'relu', { dense: 10 }],
  lanes: 8,
  batchSize: 128,
  optimizer: { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  schedule: { kind: 'cosine', minimumFactor: 0.05, warmupSteps: 5 },
  totalSteps: STEPS,
  times: { waitMs: 20_000, giveUpMs: 60_000, lookMs: 1_000 },
};

interface Run {
  readonly accuracy: number;
  readonly loss: number;
  /** What all workers wrote and read, a step. */
  readonly bytes: number;
}
const digits = realDigits(TRAIN, TEST);

async function train(options: RigOptions): Promise<Run> {
  const rig = await Rig.open({ ...job, ...options, data: digits.train });
  const { uri } = await rig.pack('test', digits.test);
  const track = rig.track('digits');
  const before = { ...rig.exchange.traffic };
  await track.round({ workers: WORKERS, steps: STEPS });
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
  return { accuracy: sums.correct / sums.samples, loss: sums.lossSum / sums.samples, bytes: bytes / STEPS };
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

/** Accuracy may be so much lower, traffic must be at most this share. */
const methods: [string, Compression, { tolerance: number; share: number }][] = [
  ['bf16', { kind: 'bf16' }, { tolerance: 0.01, share: 0.8 }],
  ['fp16', { kind: 'fp16' }, { tolerance: 0.01, share: 0.8 }],
  ['qsgd, 8 bits', { kind: 'qsgd', bits: 8 }, { tolerance: 0.01, share: 0.7 }],
  ['qsgd, 4 bits', { kind: 'qsgd', bits: 4 }, { tolerance: 0.03, share: 0.65 }],
  ['top-k, density 0.1', { kind: 'top-k', density: 0.1 }, { tolerance: 0.01, share: 0.65 }],
  ['top-k, density 0.01', { kind: 'top-k', density: 0.01 }, { tolerance: 0.025, share: 0.55 }],
  ['significance, threshold 0.001', { kind: 'significance', threshold: 0.001 }, { tolerance: 0.01, share: 0.7 }],
  ['significance, threshold 0.01', { kind: 'significance', threshold: 0.01 }, { tolerance: 0.015, share: 0.6 }],
];

it.each(methods)('%s keeps accuracy and moves less', async (name, compression, { tolerance, share }) => {
  const run = (rows[name] = await train({ compression }));
  expect(run.accuracy).toBeGreaterThanOrEqual(exact.accuracy - tolerance);
  expect(run.bytes / exact.bytes).toBeLessThan(share);
});
