import type { Span } from '../../contracts/names';
import { phaseAt } from '../../contracts/batch-size';
import { laneBatches, lanePartitions, lanePosition, laneSamples, noiseBits } from '../../training/lanes';
import { LaneSums, type NodeSum } from '../../training/tree';
import type { Layout } from './layout';
import type { Partials } from './partials';
import type { Turn } from './turn';
import type { Workspace } from './workspace';

/** The samples that a worker's lanes ever draw. */
export function laneSpan(samples: number, lanes: number, own: Span): Span {
  const partitions = lanePartitions(samples, lanes);
  return { start: partitions[own.start]!.start, end: partitions[own.end - 1]!.end };
}

/** Opens the sessions that the lanes need: two at most, since lanes differ by one sample. */
export async function openSessions(layout: Layout, workspace: Workspace): Promise<void> {
  const { start, end } = layout.lanes;
  for (const samples of new Set(batchesOf(layout).slice(start, end))) await workspace.lane(samples);
}

/** A round has one batch size: its plan ends where the schedule changes it. */
function batchesOf({ plan: { first, recipeBody } }: Layout): number[] {
  return laneBatches(phaseAt(recipeBody, first).batchSize, recipeBody.lanes);
}

/** Hears of what a worker's lanes have come to while the next ones are still computed. */
export interface LaneListener {
  /** Before the first piece of the last node. */
  readonly beforeLastLane: () => Promise<void>;
  /** A published node's slice for one range; it must not change before the node's vector is recycled. */
  readonly onPiece: (node: Span, range: Span, sum: Float32Array) => void;
  /** The node is whole. Its vector is the listener's, to recycle; the next node is not begun before this resolves. */
  readonly onNode: (sum: NodeSum) => Promise<void>;
  readonly betweenLanes: () => void;
}

/** A worker's own part of a step: its lanes' gradients, added up the tree to the nodes that it publishes. */
export class LaneWork {
  readonly #sums: LaneSums;
  readonly #batches: readonly number[];
  readonly #partitions: readonly Span[];

  constructor(
    private readonly turn: Turn,
    dataSamples: number,
    partials: Partials,
  ) {
    const { layout } = turn;
    const { lanes } = layout.plan.recipeBody;
    this.#sums = new LaneSums(
      layout.vectorLength,
      layout.lanes,
      lanes,
      layout.role.pieces.map(({ span }) => span),
      turn.workspace.memory,
      (piece) => partials.settling(piece),
    );
    this.#batches = batchesOf(layout);
    this.#partitions = lanePartitions(dataSamples, lanes);
  }

  /** Computed at the params in the workspace. */
  async compute(step: number, listener: LaneListener): Promise<void> {
    const { start, end } = this.turn.layout.lanes;
    let handedOn: Promise<void> = Promise.resolve();
    for (let lane = start; lane < end; lane++) {
      await this.turn.lookForManifest(); // a lane of a large model may take seconds
      const vector = this.#sums.take();
      await this.#gradient(step, lane, vector);
      if (lane === end - 1) await listener.beforeLastLane();
      await handedOn;
      const node = this.#sums.add(lane, vector, listener.onPiece);
      if (node) handedOn = listener.onNode(node);
      handedOn.catch(() => undefined); // thrown where it is awaited
      if (lane < end - 1) listener.betweenLanes();
    }
    await handedOn;
  }

  /** Gradient sums of one lane's samples. */
  async #gradient(step: number, lane: number, into: Float32Array): Promise<void> {
    const { layout, workspace, samples } = this.turn;
    const { seed, lanes } = layout.plan.recipeBody;
    const position = lanePosition(layout.plan.recipeBody, lanes, lane, step);
    const batch = this.#batches[lane]!;
    const { session, features, targets, noise } = await workspace.lane(batch);
    samples.gather(laneSamples({ seed, lane, partition: this.#partitions[lane]!, batch, position }), features, targets);
    layout.program.noise.forEach(({ node, elementsPerSample, rate }, i) =>
      noiseBits({ seed, step, lane, node, samples: batch, elementsPerSample, rate }, noise[i]),
    );
    const newParams = lane === layout.lanes.start;
    await session.run({ params: workspace.params.values, newParams, features, targets, noise, into, seed, step, lane });
  }

  recycle(node: NodeSum): void {
    this.#sums.recycle(node);
  }
  /** For a step that is begun again. */
  forget(): void {
    this.#sums.forget();
  }
}
