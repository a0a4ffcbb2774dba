/** @jest-environment ./test/support/native-arrays.ts */
import type { Layer } from '../../contracts/model';
import { partBytes } from '../../contracts/synchronization';
import type { Recompute } from '../../contracts/recompute';
import { FunctionProcess } from './function-process';
import { Rig } from './rig';

/* What preparing estimates, against what a function process has resided in at most. */
jest.setTimeout(120_000);

const repeated = (count: number, layers: Layer[]): Layer[] => Array.from({ length: count }, () => layers).flat();
const nets: Record<string, { layers: Layer[]; batchSize: number; samples: number; lanes: number }> = {
  'a small one': { layers: [{ dense: 64 }, 'relu', { dense: 4 }], batchSize: 32, samples: 96, lanes: 8 },
  'many parameters': { layers: [{ dense: 2048 }, 'relu', { dense: 2048 }, 'relu', { dense: 4 }], batchSize: 32, samples: 64, lanes: 8 },
  'many wide activations': {
    layers: [{ dense: 1024 }, ...repeated(12, ['gelu', 'batchNorm', 'tanh']), { dense: 4 }],
    batchSize: 1024,
    samples: 1024,
    lanes: 1,
  },
  'convolutions with batch normalisation': {
    layers: [
      { reshape: [1, 4, 4] },
      ...repeated(10, [{ conv2d: { filters: 32, kernel: 3, padding: 'same' } }, 'batchNorm', 'relu']),
      'flatten',
      { dense: 4 },
    ],
    batchSize: 1024,
    samples: 1024,
    lanes: 1,
  },
};
const functionProcess = new FunctionProcess();
beforeAll(() => functionProcess.build());
afterAll(() => functionProcess.remove());

async function trained({ layers, batchSize, samples, lanes }: (typeof nets)[string], recompute?: Recompute, microBatches = 1) {
  const rig = await Rig.open({
    layers,
    batchSize,
    samples,
    lanes,
    recompute,
    microBatches,
    times: { waitMs: 200, giveUpMs: 5_000, lookMs: 100, marginMs: 50 },
  });
  try {
    const track = rig.track('measured');
    const plan = await track.plan({ workers: 1, steps: 3 });
    const answer = await functionProcess.train(rig, plan, 0);
    if (answer?.kind !== 'done') throw new Error(`ended as ${answer?.kind}`);
    await track.commit(plan);
    return {
      estimatedMib: rig.estimatedMib + partBytes({ microBatches }, plan.cut.rangeBorders.at(-1)!) / 2 ** 20,
      measuredMib: answer.telemetry.peakRssMib,
      weights: await track.weightsSha256(),
    };
  } finally {
    await rig.close();
  }
}

const BAND = { least: 0.85, most: 1.4 };
const results = new Map<string, Promise<Awaited<ReturnType<typeof trained>>>>();
/** Each net once. */
function plainly(name: string) {
  const known = results.get(name) ?? trained(nets[name]!);
  results.set(name, known);
  return known;
}
const expectWithin = ({ estimatedMib, measuredMib }: { estimatedMib: number; measuredMib: number }) => {
  expect(estimatedMib / measuredMib).toBeGreaterThan(BAND.least);
  expect(estimatedMib / measuredMib).toBeLessThan(BAND.most);
};

it.each(Object.keys(nets))('estimates what a function resides in: %s', async (name) => {
  expectWithin(await plainly(name));
});

it('counts the vector that micro-batches need: 16 MiB of 4 million parameters', async () => {
  const name = 'many parameters';
  const [whole, cut] = [await plainly(name), await trained(nets[name]!, undefined, 2)];
  expectWithin(cut);
  expect(Math.round(cut.estimatedMib - whole.estimatedMib)).toBe(16);
});

it('resides in less when it computes intermediates again, as estimated, and leaves the same bits', async () => {
  const name = 'many wide activations';
  const [kept, again] = [await plainly(name), await trained(nets[name]!, true)];
  expectWithin(again);
  expect(kept.measuredMib - again.measuredMib).toBeGreaterThan(40);
  expect(again.weights).toBe(kept.weights);
});

it('refuses a bound that cannot be kept, with the least there is', async () => {
  await expect(Rig.open({ ...nets['many wide activations']!, recompute: { tensorsMib: 20 } })).rejects.toMatchObject({
    code: 'InvalidSpec',
    message: expect.stringMatching(/tensorsMib.*take \d+\.\d MiB; got 20/),
  });
});

it('counts what a function resides in, not what started it does', async () => {
  const ballast = Buffer.alloc(400 * 2 ** 20, 1);
  expectWithin(await trained(nets['a small one']!));
  expect(ballast.at(-1)).toBe(1);
});
