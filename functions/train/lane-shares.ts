import type { Span } from '../../contracts/names';
import { partsOf, type LocalSteps } from '../../contracts/synchronization';
import { add } from '../../training/kernels';
import { lanePartitions, lanePosition, laneSamples, microBatchesOf, noiseBits } from '../../training/lanes';
import { LocalParams, OptimizedParams, type LocalWalk, type WalkVectors } from '../../training/local-steps';
import { hash32 } from '../../training/random';
import type { Turn } from './turn';

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

/** What lanes come to by themselves: from a lane's samples to the vector that goes up the tree. */
export class LaneShares {
  readonly #partitions: readonly Span[];

  /** @param batches  samples of every lane's share */
  constructor(
    private readonly turn: Turn,
    dataSamples: number,
    private readonly batches: readonly number[],
  ) {
    this.#partitions = lanePartitions(dataSamples, turn.layout.plan.recipeBody.lanes);
  }

  /**
   * At the params in the workspace: sums over the lane's samples, or where its local steps lead, as many times as it has samples.
   * @param moments  of the lane's own optimiser, where it has one; changed in place
   */
  compute(
    step: number,
    lane: number,
    { into, moments }: { readonly into: Float32Array; readonly moments?: Float32Array | undefined },
  ): Promise<void> {
    const micros = this.#microBatches(step, lane);
    const { localSteps } = this.turn.plan.recipeBody;
    return localSteps ? this.#localSteps(micros, into, this.#walkOf(localSteps, step, moments)) : this.#sum(micros, into);
  }

  /** The micro-batches' sums, added up in order. */
  async #sum(micros: readonly MicroBatch[], into: Float32Array): Promise<void> {
    const { memory, params } = this.turn.workspace;
    const one = micros.length > 1 ? memory.floats(into.length) : into;
    for (const micro of micros) {
      const first = micro.part === 0;
      const newParams = first && micro.lane === this.turn.layout.lanes.start;
      await this.#run(micro, { params: params.values, newParams, into: first ? into : one });
      if (!first) add(into, into, one);
    }
    if (one !== into) memory.release(one);
  }

  #walkOf(localSteps: LocalSteps, step: number, moments: Float32Array | undefined): (vectors: WalkVectors) => LocalWalk {
    const { learningRate, optimizer, steps } = localSteps;
    if (!optimizer) return (vectors) => new LocalParams(vectors, learningRate);
    const { laneStateFrom = 0 } = this.turn.plan.recipeBody;
    const firstStep = (step - laneStateFrom) * steps;
    return (vectors) => new OptimizedParams(vectors, { optimizer: { ...optimizer, learningRate }, moments: moments!, firstStep });
  }

  /** A step after every micro-batch, on a copy of the params: nothing of the copy is left when the lane is done. */
  async #localSteps(micros: readonly MicroBatch[], into: Float32Array, walk: (vectors: WalkVectors) => LocalWalk): Promise<void> {
    const { layout, workspace } = this.turn;
    const { memory } = workspace;
    const { paramCount } = layout.program;
    const one = memory.floats(into.length);
    const values = memory.floats(paramCount);
    const local = walk({ start: workspace.params.values, values, change: into.subarray(0, paramCount) });
    const observed = into.subarray(paramCount).fill(0);
    for (const micro of micros) {
      await this.#run(micro, { params: values, newParams: true, into: one });
      const more = one.subarray(paramCount);
      local.step(one.subarray(0, paramCount), layout.weightAt === undefined ? micro.drawn.length : more[layout.weightAt]!);
      add(observed, observed, more);
    }
    local.finish();
    memory.release(values);
    memory.release(one);
  }

  #microBatches(step: number, lane: number): MicroBatch[] {
    const { recipeBody } = this.turn.plan;
    const { seed, lanes } = recipeBody;
    const batch = this.batches[lane]!;
    const position = lanePosition(recipeBody, lanes, lane, step);
    const drawn = laneSamples({ seed, lane, partition: this.#partitions[lane]!, batch, position });
    let end = 0;
    return microBatchesOf(batch, partsOf(recipeBody)).map((samples, part) => {
      const firstSample = end;
      end += samples;
      return { step, lane, part, firstSample, drawn: drawn.subarray(firstSample, end) };
    });
  }

  async #run(
    { step, lane, part, firstSample, drawn }: MicroBatch,
    given: { readonly params: Float32Array; readonly newParams: boolean; readonly into: Float32Array },
  ): Promise<void> {
    const { layout, workspace, samples } = this.turn;
    const { seed } = layout.plan.recipeBody;
    const { session, features, targets, noise } = await workspace.lane(drawn.length);
    samples.gather(drawn, features, targets);
    layout.program.noise.forEach(({ node, elementsPerSample, rate }, i) =>
      noiseBits({ seed, step, lane, node, samples: drawn.length, firstSample, elementsPerSample, rate }, noise[i]),
    );
    // What a Python program draws itself must differ between micro-batches.
    const ownSeed = part === 0 ? seed : hash32(seed, part);
    await session.run({ ...given, features, targets, noise, seed: ownSeed, step, lane });
  }
}
