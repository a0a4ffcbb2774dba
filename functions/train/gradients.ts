import type { Span } from '../../contracts/names';
import { phaseAt } from '../../contracts/batch-size';
import { partsOf } from '../../contracts/synchronization';
import { laneBatches, lanePartitions, microBatchesOf } from '../../training/lanes';
import { LaneSums, type NodeSum } from '../../training/tree';
import { LaneShares } from './lane-shares';
import { LaneStates } from './lane-states';
import { lanesIn, type Layout } from './layout';
import { loadParams } from './load';
import type { Partials } from './partials';
import type { Turn } from './turn';
import type { Workspace } from './workspace';

/** The samples that a worker's lanes ever draw. */
export function laneSpan(samples: number, lanes: number, own: Span): Span {
  const partitions = lanePartitions(samples, lanes);
  return { start: partitions[own.start]!.start, end: partitions[own.end - 1]!.end };
}

/** Opens the sessions that the lanes need: few, since lanes and micro-batches differ by one sample. */
export async function openSessions(layout: Layout, workspace: Workspace): Promise<void> {
  const { start, end } = layout.lanes;
  const parts = partsOf(layout.plan.recipeBody);
  const sizes = batchesOf(layout)
    .slice(start, end)
    .flatMap((batch) => microBatchesOf(batch, parts));
  for (const samples of new Set(sizes)) await workspace.lane(samples);
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
  readonly #states: LaneStates;
  readonly #batches: readonly number[];
  readonly #shares: LaneShares;

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
    this.#states = new LaneStates(turn);
    this.#batches = batchesOf(layout);
    this.#shares = new LaneShares(turn, dataSamples, this.#batches);
  }

  /** Computed at the params in the workspace. */
  async compute(step: number, listener: LaneListener): Promise<void> {
    const { start, end } = this.turn.layout.lanes;
    const states = this.#states.begin(step);
    let handedOn: Promise<void> = Promise.resolve();
    for (let lane = start; lane < end; lane++) {
      await this.turn.lookForEnd(); // a lane of a large model may take seconds
      const vector = this.#sums.take();
      await this.#shares.compute(step, lane, { into: vector, moments: states?.moments(lane) });
      states?.select(lane, vector, this.#batches[lane]!);
      if (lane === end - 1) await listener.beforeLastLane();
      await handedOn;
      const node = this.#sums.add(lane, vector, listener.onPiece);
      if (node) handedOn = listener.onNode(node);
      handedOn.catch(() => undefined); // thrown where it is awaited
      if (lane < end - 1) listener.betweenLanes();
    }
    states?.done();
    await handedOn;
  }

  /** Finds what the lanes keep at a step, by going again through the steps since it was last known. */
  async recall(wanted: number): Promise<boolean> {
    const { layout, meter } = this.turn;
    return this.#states.recall(wanted, async (step) => {
      if (!(await loadParams(this.turn, step))) return false;
      const states = this.#states.begin(step)!;
      const vector = this.#sums.take();
      await meter.during('compute', async () => {
        for (const lane of lanesIn(layout.lanes)) {
          await this.#shares.compute(step, lane, { into: vector, moments: states.moments(lane) });
          states.select(lane, vector, this.#batches[lane]!);
        }
      });
      this.turn.workspace.memory.release(vector);
      states.done();
      return true;
    });
  }

  recycle(node: NodeSum): void {
    this.#sums.recycle(node);
  }
  /** For a step that is begun again. */
  forget(): void {
    this.#sums.forget();
  }
}
