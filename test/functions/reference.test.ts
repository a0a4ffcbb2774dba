/** @jest-environment ./test/support/native-arrays.ts */
import { names } from '../../contracts/names';
import { recentLosses } from '../../contracts/step-names';
import { floatsOf } from '../../functions/bytes';
import { readProgram } from '../../functions/program';
import { laneBatches, lanePartitions, laneSamples } from '../../training/lanes';
import { adam, Rig } from './rig';
import { Reference } from './reference';

const STEPS = 12;
const SEED = 11;

describe('training by three workers', () => {
  it('comes to what one float64 loop comes to: weights, running statistics and every loss', async () => {
    const rig = await Rig.open({
      layers: [{ dense: { units: 64, bias: false } }, 'batchNorm', 'relu', { dense: 24 }, 'tanh', { dense: 4 }],
      clipNorm: 0.3,
    });
    const { batchSize, lanes, samples } = rig.options;
    const program = await readProgram(rig.store, rig.programDigest);
    const initial = {
      params: Float64Array.from(floatsOf(await rig.store.get(program.initialParams))),
      buffers: Float64Array.from(floatsOf(await rig.store.get(program.initialBuffers))),
    };
    if (adam.kind !== 'adam') throw new Error('the reference knows Adam alone');
    const reference = new Reference({ params: initial.params.slice(), buffers: initial.buffers, losses: [] }, program.params, {
      ...adam,
      clipNorm: 0.3,
    });
    const batches = laneBatches(batchSize, lanes);
    const partitions = lanePartitions(samples, lanes);
    const all = await rig.samples(0, samples);
    for (let step = 0; step < STEPS; step++) {
      const drawn = batches.map((batch, lane) => laneSamples({ seed: SEED, lane, partition: partitions[lane]!, batch, position: step * batch }));
      reference.step(
        step,
        drawn.map((indices) => ({
          features: Array.from(indices, (i) => Array.from(all[i]!.features)),
          labels: Array.from(indices, (i) => all[i]!.target),
        })),
      );
    }

    const track = rig.track('train');
    await track.round({ workers: 3, steps: 5 });
    await track.round({ workers: 4, steps: STEPS - 5 });
    const { params, buffers } = await track.weights();
    expect(largest(params, initial.params)).toBeGreaterThan(0.05);
    for (const { name, offset, length } of program.params) {
      const worst = largest(params.subarray(offset, offset + length), reference.state.params.subarray(offset, offset + length));
      expect([name, worst]).toEqual([name, expect.closeTo(0, 3)]);
    }
    expect(largest(buffers, reference.state.buffers)).toBeLessThan(1e-5);

    const id = { run: 'run', track: 'train', recipe: 'recipe-1234' };
    const extra = { start: program.paramCount, end: program.paramCount + program.bufferCount + 1 };
    const state = floatsOf(await rig.store.get(names.checkpointState(id, STEPS, extra)));
    const { first, losses } = recentLosses(state.subarray(program.bufferCount), STEPS);
    expect(first).toBe(0);
    expect(losses).toHaveLength(STEPS);
    expect(largest(losses, Float64Array.from(reference.state.losses))).toBeLessThan(1e-5);
    await rig.close();
  });
});

const largest = (got: Float32Array, expected: Float64Array) => got.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0);
