import { LOSS_WEIGHT } from '../../contracts/loss';
import { names, type RecipeId, type Span } from '../../contracts/names';
import type { Program } from '../../contracts/program';
import type { RoundPlan } from '../../contracts/round';
import { checkpointNames, extraRange, filledRanges, LOSSES_KEPT, wholeNames } from '../../contracts/step-names';
import { slotCount } from '../../training/optimizers';
import { counterLength } from '../../training/plateau';
import { treeNodes } from '../../contracts/tree-nodes';

export interface NeededPartial {
  readonly name: string;
  readonly node: Span;
  readonly range: Span;
}

/** Who does what in a round, and all names of one worker's turn. Pure: follows from the plan, the program and the worker's number. */
export class Layout {
  readonly id: RecipeId;
  readonly lanes: Span;
  /** Tree nodes that this worker publishes, from left to right. */
  readonly nodes: readonly Span[];
  /** Every range with parameters in it, and behind them the extra one. */
  readonly ranges: readonly Span[];
  readonly extra: Span;
  /** The parameters this worker owns; undefined where it owns none. */
  readonly own: Span | undefined;
  readonly ownsExtra: boolean;
  /** Reads the extra state: its owner, and everybody where its counters decide the learning rate. */
  readonly needsExtra: boolean;
  /** Floats of optimiser state a parameter. */
  readonly slots: number;
  readonly #allNodes: readonly Span[];
  readonly #shape: { rangeBorders: readonly number[]; bufferCount: number };

  constructor(
    readonly plan: RoundPlan,
    readonly program: Program,
    readonly worker: number,
  ) {
    const { laneBorders, rangeBorders } = plan.cut;
    const total = plan.recipeBody.lanes;
    const lanesOf = (w: number): Span => ({ start: laneBorders[w]!, end: laneBorders[w + 1]! });
    this.id = { run: plan.run, track: plan.track, recipe: plan.recipe };
    this.lanes = lanesOf(worker);
    this.nodes = treeNodes(this.lanes, total);
    this.#allNodes = laneBorders.slice(1).flatMap((_, w) => treeNodes(lanesOf(w), total));
    this.extra = extraRange(program.paramCount, program.bufferCount);
    this.ranges = [...filledRanges(rangeBorders), this.extra];
    const own = { start: rangeBorders[worker]!, end: rangeBorders[worker + 1]! };
    this.own = own.end > own.start ? own : undefined;
    this.ownsExtra = worker === 0;
    this.needsExtra = this.ownsExtra || counterLength(plan.recipeBody.schedule) > 0;
    this.slots = slotCount(plan.recipeBody.optimizer, plan.recipeBody.weightAverage);
    this.#shape = { rangeBorders, bufferCount: program.bufferCount };
  }

  /** Parameters, buffer statistics and the loss: what a lane computes, and what the tree adds. */
  get vectorLength(): number {
    return this.extra.end;
  }
  get paramRanges(): readonly Span[] {
    return this.ranges.slice(0, -1);
  }
  /** Ranges whose sums this worker makes. */
  get ownRanges(): Span[] {
    return [...(this.own ? [this.own] : []), ...(this.ownsExtra ? [this.extra] : [])];
  }

  /** Floats of the extra state: running statistics, losses, counters of the schedule. */
  get extraLength(): number {
    return this.program.bufferCount + LOSSES_KEPT + counterLength(this.plan.recipeBody.schedule);
  }
  counters(extraState: Float32Array): Float32Array {
    return extraState.subarray(this.program.bufferCount + LOSSES_KEPT);
  }

  /** Ranges as this worker sends them: each begins with another owner's, so that no owner is everybody's first, and ends with its own. */
  get sendingOrder(): Span[] {
    const after = this.ranges.findIndex(({ start }) => start >= (this.own?.end ?? this.plan.cut.rangeBorders[this.worker + 1]!));
    return [...this.ranges.slice(after), ...this.ranges.slice(0, after)];
  }

  /** Where in the extra range the mean weight of the batch's losses lies, if they weigh differently. */
  get weightAt(): number | undefined {
    return this.program.buffers.find(({ name }) => name === LOSS_WEIGHT)?.offset;
  }

  ownPartials(step: number): string[] {
    return this.nodes.flatMap((node) => this.ranges.map((range) => names.partial(this.id, step, node, range)));
  }
  /** All nodes of the own ranges, whoever makes them. */
  neededPartials(step: number): NeededPartial[] {
    return this.ownRanges.flatMap((range) => this.#allNodes.map((node) => ({ name: names.partial(this.id, step, node, range), node, range })));
  }
  norm(step: number, range: Span): string {
    return names.norm(this.id, step, range);
  }
  params(step: number, range: Span): string {
    return names.params(this.id, step, range);
  }
  state(step: number, range: Span): string {
    return names.state(this.id, step, range);
  }
  /** State and params that this worker publishes for a step. */
  ownValues(step: number): string[] {
    return [...this.ownRanges.map((range) => this.state(step, range)), ...(this.own ? [this.params(step, this.own)] : [])];
  }
  /** All that this worker has published when it has made a step: what it was made from, and the step itself. */
  published(step: number): string[] {
    return [...this.ownPartials(step - 1), ...this.#ownNorm(step - 1), ...this.ownValues(step)];
  }
  #ownNorm(step: number): string[] {
    return [
      ...(this.ownsExtra && this.weightAt !== undefined ? [this.norm(step, this.extra)] : []),
      ...(this.own && this.plan.recipeBody.clipNorm !== undefined ? [this.norm(step, this.own)] : []),
    ];
  }
  whole(step: number): string[] {
    return wholeNames(this.id, step, this.#shape);
  }
  checkpoint(step: number): string[] {
    return checkpointNames(this.id, step, this.#shape);
  }
  ownCheckpoint(step: number): string[] {
    return [
      ...(this.own ? [names.checkpointParams(this.id, step, this.own)] : []),
      ...this.ownRanges.map((range) => names.checkpointState(this.id, step, range)),
    ];
  }
  /** What this worker deletes of a step that nobody needs any more: everything of its own ranges, whoever wrote it. */
  swept(step: number): string[] {
    return [...this.neededPartials(step).map(({ name }) => name), ...this.#ownNorm(step), ...this.ownValues(step)];
  }
}

/** The workers that publish these names of a step, or its checkpoint: whom a waiting worker waits for. */
export function makersOf({ plan, program }: Layout, step: number, missing: readonly string[]): number[] {
  const wanted = new Set(missing);
  return plan.cut.laneBorders.slice(1).flatMap((_, worker) => {
    const layout = new Layout(plan, program, worker);
    return [...layout.published(step + 1), ...layout.ownCheckpoint(plan.last)].some((name) => wanted.has(name)) ? [worker] : [];
  });
}
