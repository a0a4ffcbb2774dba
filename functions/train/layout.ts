import { keepsLaneStates } from '../../contracts/lane-state';
import { LOSS_WEIGHT } from '../../contracts/loss';
import { names, type RecipeId, type Span } from '../../contracts/names';
import type { Program } from '../../contracts/program';
import type { RoundPlan } from '../../contracts/round';
import { checkpointNames, extraRange, filledRanges, LOSSES_KEPT, shapeOf, wholeNames, type Shape } from '../../contracts/step-names';
import { isReplicated } from '../../contracts/synchronization';
import { treeNodes } from '../../contracts/tree-nodes';
import { slotCount } from '../../training/optimizers';
import { counterLength } from '../../training/plateau';
import { roleOf, roleShape, type Piece, type Role } from './role';

/** Who does what in a round, and all names of one worker's turn. Pure: follows from the plan, the program and the worker's number. */
export class Layout {
  readonly id: RecipeId;
  readonly lanes: Span;
  /** Tree nodes that this worker publishes, from left to right. */
  readonly nodes: readonly Span[];
  readonly role: Role;
  /** Every range with parameters in it. */
  readonly paramRanges: readonly Span[];
  readonly extra: Span;
  /** The parameters this worker owns and publishes; undefined where it owns none. */
  readonly own: Span | undefined;
  readonly ownsExtra: boolean;
  /** Nobody else is in the round, so nothing has to go round. */
  readonly alone: boolean;
  /** Every worker updates all parameters and the extra state by itself. */
  readonly replicated: boolean;
  /** Keeps the extra state up to date. */
  readonly updatesExtra: boolean;
  /** Reads the extra state: whoever keeps it up to date, and everybody where its counters decide the learning rate. */
  readonly needsExtra: boolean;
  /** Floats of optimiser state a parameter. */
  readonly slots: number;
  /** Lanes hold something back from step to step. */
  readonly stateful: boolean;
  readonly #shape: Shape;

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
    this.role = roleOf(roleShape(plan, program), worker);
    this.extra = extraRange(program.paramCount, program.bufferCount);
    this.paramRanges = filledRanges(rangeBorders);
    const own = { start: rangeBorders[worker]!, end: rangeBorders[worker + 1]! };
    this.own = own.end > own.start ? own : undefined;
    this.ownsExtra = worker === 0;
    this.stateful = keepsLaneStates(plan.recipeBody);
    this.alone = laneBorders.length === 2 && !this.stateful;
    this.replicated = isReplicated(plan.topology);
    this.updatesExtra = this.ownsExtra || this.replicated;
    this.needsExtra = this.updatesExtra || counterLength(plan.recipeBody.schedule) > 0;
    this.slots = slotCount(plan.recipeBody.optimizer, plan.recipeBody.weightAverage);
    this.#shape = shapeOf(plan, program.bufferCount);
  }

  /** Parameters, buffer statistics and the loss: what a lane computes, and what the tree adds. */
  get vectorLength(): number {
    return this.extra.end;
  }
  /** Ranges that this worker publishes the state of. */
  get ownRanges(): Span[] {
    return [...(this.own ? [this.own] : []), ...(this.ownsExtra ? [this.extra] : [])];
  }
  /** Ranges of parameters that this worker updates, next to each other. */
  get updated(): readonly Span[] {
    return this.replicated ? this.paramRanges : this.own ? [this.own] : [];
  }
  /** Those as one. */
  get updatedSpan(): Span | undefined {
    const { updated } = this;
    return updated.length === 0 ? undefined : { start: updated[0]!.start, end: updated.at(-1)!.end };
  }
  /** Where a range's optimiser state lies in the state of all that this worker updates: range after range. */
  slotSpan({ start, end }: Span): Span {
    const first = this.updatedSpan!.start;
    return { start: (start - first) * this.slots, end: (end - first) * this.slots };
  }

  /** Floats of the extra state: running statistics, losses, counters of the schedule. */
  get extraLength(): number {
    return this.program.bufferCount + LOSSES_KEPT + counterLength(this.plan.recipeBody.schedule);
  }
  counters(extraState: Float32Array): Float32Array {
    return extraState.subarray(this.program.bufferCount + LOSSES_KEPT);
  }

  /** Where in the extra range the mean weight of the batch's losses lies, if they weigh differently. */
  get weightAt(): number | undefined {
    return this.program.buffers.find(({ name }) => name === LOSS_WEIGHT)?.offset;
  }

  partial(step: number, node: Span, span: Span): string {
    return names.partial(this.id, step, node, span);
  }
  /** What goes out of the own lanes. */
  lanePartials(step: number): string[] {
    return this.#partials(step, this.nodes, this.role.pieces);
  }
  /** What this worker adds up for others. */
  combinedPartials(step: number): string[] {
    const { combines } = this.role;
    return combines ? this.#partials(step, combines.into, combines.pieces) : [];
  }
  #partials(step: number, nodes: readonly Span[], pieces: readonly Piece[]): string[] {
    return nodes.flatMap((node) => pieces.filter(({ published }) => published).map(({ span }) => this.partial(step, node, span)));
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
    return this.alone ? [] : [...this.#inputs(step - 1), ...this.ownValues(step)];
  }
  /** What this worker has published for others to make the next step from. */
  #inputs(step: number): string[] {
    return [...this.lanePartials(step), ...this.combinedPartials(step), ...this.#ownNorms(step)];
  }
  #ownNorms(step: number): string[] {
    if (this.replicated || this.alone) return [];
    return [
      ...(this.ownsExtra && this.weightAt !== undefined ? [this.norm(step, this.extra)] : []),
      ...(this.own && this.plan.recipeBody.clipNorm !== undefined ? [this.norm(step, this.own)] : []),
    ];
  }
  whole(step: number): string[] {
    return wholeNames(this.id, step, this.#shape, this.plan.first);
  }
  checkpoint(step: number): string[] {
    return checkpointNames(this.id, step, this.#shape);
  }
  ownCheckpoint(step: number): string[] {
    return [
      ...(this.own ? [names.checkpointParams(this.id, step, this.own)] : []),
      ...this.ownRanges.map((range) => names.checkpointState(this.id, step, range)),
      ...(this.stateful ? lanesIn(this.lanes).map((lane) => names.checkpointLane(this.id, step, lane)) : []),
    ];
  }
  /** What this worker deletes of a step that nobody needs any more: all that it has published, but params that lanes' states follow from. */
  swept(step: number): string[] {
    const kept = this.stateful && this.own ? this.params(step, this.own) : undefined;
    return [...this.#inputs(step), ...this.ownValues(step)].filter((name) => name !== kept);
  }
}

export const lanesIn = ({ start, end }: Span): number[] => Array.from({ length: end - start }, (_, i) => start + i);

/** Who tells of a worker that others wait for: one that is driven together with it, wherever many are. */
export const tellerOf = (maker: number, workers: number): number => ((maker ^ 1) < workers ? maker ^ 1 : maker - 1);

/** The workers that publish these names of a step, or its checkpoint: whom a waiting worker waits for. */
export function makersOf({ plan, program }: Layout, step: number, missing: readonly string[]): number[] {
  const wanted = new Set(missing);
  return plan.cut.laneBorders.slice(1).flatMap((_, worker) => {
    const layout = new Layout(plan, program, worker);
    return [...layout.published(step + 1), ...layout.ownCheckpoint(plan.last)].some((name) => wanted.has(name)) ? [worker] : [];
  });
}
