import type { Span } from '../../contracts/names';
import { phaseAt } from '../../contracts/batch-size';
import { add } from '../../training/kernels';
import { laneBatches, lanePartitions, lanePosition, laneSamples, microBatchesOf, noiseBits } from '../../training/lanes';
import { hash32 } from '../../training/random';
import { LaneSums, type NodeSum } from '../../training/tree';
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
  const { microBatches = 1 } = layout.plan.recipeBody;
  const sizes = batchesOf(layout)
    .slice(start, end)
    .flatMap((batch) => microBatchesOf(batch, microBatches));
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

/** A part of a lane's share of a batch. */
interface MicroBatch {
  readonly step: number;
  readonly lane: number;
  readonly part: number;
  /** Samples of the lane's share before it. */
  readonly firstSample: number;
  /** Their indices in the data set. */
  readonly drawn: Int32Array;
}

/** A worker's own part of a step: its lanes' gradients, added up the tree to the nodes that it publishes. */
export class LaneWork {
  readonly #sums: LaneSums;
  readonly #states: LaneStates;
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
    this.#states = new LaneStates(turn);
    this.#batches = batchesOf(layout);
    this.#partitions = lanePartitions(dataSamples, lanes);
  }

  /** Computed at the params in the workspace. */
  async compute(step: number, listener: LaneListener): Promise<void> {
    const { start, end } = this.turn.layout.lanes;
    const states = this.#states.begin(step);
    let handedOn: Promise<void> = Promise.resolve();
    for (let lane = start; lane < end; lane++) {
      await this.turn.lookForManifest(); // a lane of a large model may take seconds
      const vector = this.#sums.take();
      await this.#gradient(step, lane, vector);
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

  /** Finds what the lanes hold back at a step, by going again through the steps since it was last known. */
  async recall(wanted: number): Promise<boolean> {
    const { layout, meter } = this.turn;
    return this.#states.recall(wanted, async (step) => {
      if (!(await loadParams(this.turn, step))) return false;
      const states = this.#states.begin(step)!;
      const vector = this.#sums.take();
      await meter.during('compute', async () => {
        for (const lane of lanesIn(layout.lanes)) {
          await this.#gradient(step, lane, vector);
          states.select(lane, vector, this.#batches[lane]!);
        }
      });
      this.turn.workspace.memory.release(vector);
      states.done();
      return true;
    });
  }

  /** Gradient sums of one lane's samples: its micro-batches' added up in order. */
  async #gradient(step: number, lane: number, into: Float32Array): Promise<void> {
    const { layout, workspace } = this.turn;
    const { seed, lanes, microBatches = 1 } = layout.plan.recipeBody;
    const batch = this.#batches[lane]!;
    const position = lanePosition(layout.plan.recipeBody, lanes, lane, step);
    const drawn = laneSamples({ seed, lane, partition: this.#partitions[lane]!, batch, position });
    const part = microBatches > 1 ? workspace.memory.floats(into.length) : into;
    let firstSample = 0;
    for (const [i, samples] of microBatchesOf(batch, microBatches).entries()) {
      const micro = { step, lane, part: i, firstSample, drawn: drawn.subarray(firstSample, firstSample + samples) };
      await this.#microBatch(micro, i === 0 ? into : part);
      if (i > 0) add(into, into, part);
      firstSample += samples;
    }
    if (part !== into) workspace.memory.release(part);
  }

  async #microBatch({ step, lane, part, firstSample, drawn }: MicroBatch, into: Float32Array): Promise<void> {
    const { layout, workspace, samples } = this.turn;
    const { seed } = layout.plan.recipeBody;
    const { session, features, targets, noise } = await workspace.lane(drawn.length);
    samples.gather(drawn, features, targets);
    layout.program.noise.forEach(({ node, elementsPerSample, rate }, i) =>
      noiseBits({ seed, step, lane, node, samples: drawn.length, firstSample, elementsPerSample, rate }, noise[i]),
    );
    const newParams = lane === layout.lanes.start && part === 0;
    // What a Python program draws itself must differ between micro-batches.
    const ownSeed = part === 0 ? seed : hash32(seed, part);
    await session.run({ params: workspace.params.values, newParams, features, targets, noise, into, seed: ownSeed, step, lane });
  }

  recycle(node: NodeSum): void {
    this.#sums.recycle(node);
  }
  /** For a step that is begun again. */
  forget(): void {
    this.#sums.forget();
  }
}
