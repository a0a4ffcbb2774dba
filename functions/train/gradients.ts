import type { Span } from '../../contracts/names';
import { laneBatches, lanePartitions, laneSamples, noiseBits } from '../../training/lanes';
import { LaneSums, type NodeSum } from '../../training/tree';
import type { Layout } from './layout';
import type { Turn } from './turn';
import type { Workspace } from './workspace';

/** The samples that a worker's lanes ever draw. */
export function laneSpan(samples: number, lanes: number, own: Span): Span {
  const partitions = lanePartitions(samples, lanes);
  return { start: partitions[own.start]!.start, end: partitions[own.end - 1]!.end };
}

/** Opens the sessions that the lanes need: two at most, since lanes differ by one sample. */
export async function openSessions(layout: Layout, workspace: Workspace): Promise<void> {
  const { batchSize, lanes } = layout.plan.recipeBody;
  const { start, end } = layout.lanes;
  for (const samples of new Set(laneBatches(batchSize, lanes).slice(start, end))) await workspace.lane(samples);
}

/** A worker's own part of a step: its lanes' gradients, added up the tree to the nodes that it publishes. */
export class LaneWork {
  readonly #sums: LaneSums;
  readonly #batches: readonly number[];
  readonly #partitions: readonly Span[];

  constructor(
    private readonly turn: Turn,
    dataSamples: number,
  ) {
    const { layout } = turn;
    const { batchSize, lanes } = layout.plan.recipeBody;
    this.#sums = new LaneSums(layout.vectorLength, layout.lanes, lanes, undefined, turn.workspace.memory);
    this.#batches = laneBatches(batchSize, lanes);
    this.#partitions = lanePartitions(dataSamples, lanes);
  }

  /** Computed at the params in the workspace. Give the vectors back with `recycle` once they are no longer read. */
  async compute(step: number): Promise<NodeSum[]> {
    const { layout, workspace, samples } = this.turn;
    const { seed } = layout.plan.recipeBody;
    for (let lane = layout.lanes.start; lane < layout.lanes.end; lane++) {
      await this.turn.lookForManifest(); // a lane of a large model may take seconds
      const batch = this.#batches[lane]!;
      const { session, features, targets, noise } = await workspace.lane(batch);
      samples.gather(laneSamples({ seed, lane, partition: this.#partitions[lane]!, batch, step }), features, targets);
      layout.program.noise.forEach(({ node, elementsPerSample, rate }, i) =>
        noiseBits({ seed, step, lane, node, samples: batch, elementsPerSample, rate }, noise[i]),
      );
      const newParams = lane === layout.lanes.start;
      await session.run({ params: workspace.params.values, newParams, features, targets, noise, into: workspace.vector, seed, step, lane });
      this.#sums.add(lane, workspace.vector);
    }
    return this.#sums.finish();
  }

  recycle(sums: readonly NodeSum[]): void {
    this.#sums.recycle(sums);
  }
}
