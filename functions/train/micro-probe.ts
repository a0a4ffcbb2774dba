import type { MicroProbeAnswer, MicroProbeRequest } from '../../contracts/micro-probe';
import type { MicroSample } from '../../contracts/scheduling';
import { noiseBits } from '../../training/lanes';
import { bytesOf } from '../bytes';
import { DataSet } from '../data-set';
import { readProgram } from '../program';
import type { World } from '../world';
import { returnWorkspace, takeWorkspace, type Workspace } from './workspace';

/** Micro-batches in a row, as a worker's lanes come. */
const COUNTS = [1, 2, 4];
const ITERATIONS = 3;
/** An iteration takes no longer, if its smallest one does not. Source: rules, section 3, step 1. */
const LONGEST_MS = 4_000;
/** A gradient, sums that are received and published, two moments: what a round holds beside it, of parameters' size each. */
const VECTORS_OF_A_ROUND = 4;

/** Times gradients without any exchange, in the instance that may train next: its sessions stay warm. */
export async function probeGradients(world: World, request: MicroProbeRequest): Promise<MicroProbeAnswer> {
  const store = await world.store(request.storeUri);
  const program = await readProgram(store, request.programDigest);
  const data = await DataSet.open(world, request.dataUri);
  const { workspace } = takeWorkspace(world.compute, store, program);
  try {
    const params = new Float32Array(program.paramCount);
    await store.getInto(program.initialParams, bytesOf(params));
    const gradient = await gradientOf(workspace, data, params, request.samples);
    await gradient(); // the first one compiles
    const times: MicroSample[] = [];
    let longestMs = 0;
    for (const count of COUNTS) {
      // Computing is linear in how many there are: what would take too long has been told by fewer.
      if (2 * longestMs > LONGEST_MS) break;
      const computeMs = await medianMs(async () => {
        for (let i = 0; i < count; i++) await gradient();
      });
      longestMs = computeMs;
      times.push({ memoryMib: request.memoryMib, samples: count * request.samples, computeMs, peakRssMib: 0 });
    }
    const roundMib = (VECTORS_OF_A_ROUND * params.byteLength) / 2 ** 20;
    const peakRssMib = world.compute.peakRssMib() + roundMib;
    returnWorkspace(workspace);
    return { samples: times.map((one) => ({ ...one, peakRssMib })) };
  } catch (error) {
    await workspace.close();
    throw error;
  }
}

async function gradientOf(workspace: Workspace, data: DataSet, params: Float32Array, samples: number): Promise<() => Promise<void>> {
  const { program } = workspace;
  const { session, features, targets, noise } = await workspace.lane(samples);
  const all = data.manifest.samples;
  const loaded = await data.load([{ start: 0, end: Math.min(samples, all) }]);
  loaded.gather(
    Array.from({ length: samples }, (_, i) => i % all),
    features,
    targets,
  );
  program.noise.forEach(({ node, elementsPerSample, rate }, i) =>
    noiseBits({ seed: 0, step: 0, lane: 0, node, samples, elementsPerSample, rate }, noise[i]),
  );
  const into = new Float32Array(program.paramCount + program.bufferCount + 1);
  return () => session.run({ params, newParams: true, into, features, targets, noise, seed: 0, step: 0, lane: 0 });
}

/** Fewer iterations where one takes long. */
async function medianMs(work: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let i = 0, spentMs = 0; i < ITERATIONS && spentMs <= LONGEST_MS; i++) {
    const startedAt = performance.now();
    await work();
    times.push(performance.now() - startedAt);
    spentMs += times.at(-1)!;
  }
  return Math.max(1e-3, times.sort((a, b) => a - b)[times.length >> 1]!);
}
