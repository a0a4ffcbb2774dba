import { SmltError } from '../../contracts/errors';
import { names, type Span } from '../../contracts/names';
import { addLoss } from '../../contracts/step-names';
import { clipFactor, globalNorm, rangeNorms, scaleBy } from '../../training/norms';
import { blendBuffers, update } from '../../training/optimizers';
import { countLoss, reductionsOf } from '../../training/plateau';
import { learningRateAt } from '../../training/schedules';
import { divide } from '../../training/kernels';
import { NodeSums, type NodeSum } from '../../training/tree';
import { doublesOf, floatsOf } from '../bytes';
import { passing } from '../fault-points';
import { LaneWork } from './gradients';
import { heldNames } from './load';
import { publish } from './publish';
import type { Turn } from './turn';
import { gather } from './wait';

const keyOf = ({ start, end }: Span) => `${start}-${end}`;
const slice = (vector: Float32Array, { start, end }: Span) => vector.subarray(start, end);

/**
 * One step of one worker, in the order that the protocol asks for (invariant 2): partials for all ranges, norm, state,
 * params. Nothing is left out because a later name is found.
 */
export class Steps {
  readonly #lanes: LaneWork;
  readonly #reducers: Map<string, NodeSums>;

  constructor(
    private readonly turn: Turn,
    dataSamples: number,
  ) {
    const { layout, plan } = turn;
    this.#lanes = new LaneWork(turn, dataSamples);
    this.#reducers = new Map(
      layout.ownRanges.map((range) => [keyOf(range), new NodeSums(range.end - range.start, plan.recipeBody.lanes, turn.workspace.memory)]),
    );
  }

  /** From params and own states of `step` in the workspace to those of `step + 1`, published; of the params only the own range is new. */
  async run(step: number): Promise<void> {
    const { layout, meter } = this.turn;
    const sums = await meter.during('compute', () => this.#lanes.compute(step));
    await passing('beforePut', step);
    await meter.during('upload', () => this.#publishPartials(step, sums));
    const published = layout.ownPartials(step);
    await this.#collect(step, sums, published);
    const means = new Map(layout.ownRanges.map((range) => [keyOf(range), this.#mean(range)]));
    this.#lanes.recycle(sums);

    if (layout.ownsExtra) this.#checkLoss(step, means.get(keyOf(layout.extra))!);
    if (layout.own) await this.#clip(step, layout.own, means.get(keyOf(layout.own))!, published);
    await meter.during('reduce', async () => this.#advance(step, means));
    await meter.during('upload', () => this.#publishNext(step + 1));
    for (const [key, mean] of means) this.#reducers.get(key)!.recycle(mean);
  }

  /** Reads the other owners' params of a step, and where they decide its rate the counters; the workspace holds the step then. */
  async readParams(step: number): Promise<void> {
    const { layout, workspace } = this.turn;
    const { params, extra } = workspace;
    const others = new Map(layout.paramRanges.filter(({ start }) => start !== layout.own?.start).map((range) => [layout.params(step, range), range]));
    const readsExtra = layout.needsExtra && !layout.ownsExtra;
    await gather(this.turn, {
      step: step - 1,
      names: [...others.keys(), ...(readsExtra ? [layout.state(step, layout.extra)] : [])],
      published: layout.published(step),
      take(name, bytes) {
        const range = others.get(name);
        if (range) params.values.set(floatsOf(bytes), range.start);
        else extra.values.set(floatsOf(bytes));
      },
    });
    params.nowHolds(heldNames.params(layout, step));
    if (readsExtra) extra.nowHolds(heldNames.extra(layout, step));
  }

  async #publishPartials(step: number, sums: readonly NodeSum[]): Promise<void> {
    const { layout } = this.turn;
    await Promise.all(
      sums.flatMap(({ node, sum }) =>
        layout.ranges.map((range) => publish(this.turn, names.partial(layout.id, step, node, range), slice(sum, range))),
      ),
    );
  }

  /** All partials of the own ranges: the own ones from memory, the others' as they come. */
  async #collect(step: number, sums: readonly NodeSum[], published: readonly string[]): Promise<void> {
    const { layout, meter } = this.turn;
    for (const reducer of this.#reducers.values()) reducer.clear();
    const own = new Set(published);
    const others = new Map(layout.neededPartials(step).flatMap((partial) => (own.has(partial.name) ? [] : [[partial.name, partial] as const])));
    const before = meter.enter('reduce');
    for (const range of layout.ownRanges) for (const { node, sum } of sums) this.#reducers.get(keyOf(range))!.add(node, slice(sum, range));
    meter.enter(before);
    await gather(this.turn, {
      step,
      names: [...others.keys()],
      published,
      take: (name, bytes) => {
        const { node, range } = others.get(name)!;
        const during = meter.enter('reduce');
        this.#reducers.get(keyOf(range))!.add(node, floatsOf(bytes));
        meter.enter(during);
      },
    });
  }

  #mean(range: Span): Float32Array {
    const before = this.turn.meter.enter('reduce');
    const mean = this.#reducers.get(keyOf(range))!.finish();
    divide(mean, mean, this.turn.plan.recipeBody.batchSize);
    this.turn.meter.enter(before);
    return mean;
  }

  #checkLoss(step: number, means: Float32Array): void {
    const loss = means[means.length - 1]!;
    if (Number.isFinite(loss)) return;
    const { run, track } = this.turn.plan;
    throw new SmltError('Diverged', `${run}/${track}: the mean loss of step ${step} is ${loss}, expected a finite number`);
  }

  /** Global-norm clipping: one norm a block-tree node of each range goes round before anybody may scale. */
  async #clip(step: number, own: Span, gradient: Float32Array, published: readonly string[]): Promise<void> {
    const { layout, plan } = this.turn;
    const { clipNorm } = plan.recipeBody;
    if (clipNorm === undefined) return;
    const { blockElements, paramCount } = layout.program;
    const values = rangeNorms(gradient, own, blockElements, paramCount);
    await this.turn.meter.during('upload', () => publish(this.turn, layout.norm(step, own), values));
    const norms = [{ range: own, values }];
    const others = new Map(layout.paramRanges.filter(({ start }) => start !== own.start).map((range) => [layout.norm(step, range), range]));
    await gather(this.turn, {
      step,
      names: [...others.keys()],
      published: [...published, layout.norm(step, own)],
      take: (name, bytes) => norms.push({ range: others.get(name)!, values: doublesOf(bytes) }),
    });
    scaleBy(gradient, clipFactor(globalNorm(norms, blockElements, paramCount), clipNorm));
  }

  /** In place, so what the workspace holds has no name until the step is whole. */
  #advance(step: number, means: ReadonlyMap<string, Float32Array>): void {
    const { layout, workspace, plan } = this.turn;
    const { optimizer, schedule, totalSteps, weightAverage, stateFrom = 0 } = plan.recipeBody;
    const { params, slots, extra } = workspace;
    for (const held of [params, slots, extra]) held.forget();
    if (layout.own) {
      const learningRate = learningRateAt(optimizer, schedule, step, totalSteps, reductionsOf(layout.counters(extra.values)));
      const gradient = means.get(keyOf(layout.own))!;
      update(
        optimizer,
        { params: slice(params.values, layout.own), gradient, slots: slots.values, step: step - stateFrom, learningRate },
        weightAverage,
      );
    }
    if (!layout.ownsExtra) return;
    const { bufferCount, buffers } = layout.program;
    const observed = means.get(keyOf(layout.extra))!;
    for (const { offset, length, momentum } of buffers)
      blendBuffers(extra.values.subarray(offset, offset + length), observed.subarray(offset, offset + length), momentum);
    // At absolute step numbers: in another round, after a cut, the same step has the same state.
    addLoss(extra.values.subarray(bufferCount), step, observed[bufferCount]!);
    countLoss(schedule, layout.counters(extra.values), step, observed[bufferCount]!);
  }

  /** State first, then params. */
  async #publishNext(step: number): Promise<void> {
    const { layout, workspace } = this.turn;
    const { params, slots, extra } = workspace;
    const states: Promise<void>[] = [];
    if (layout.own) states.push(publish(this.turn, layout.state(step, layout.own), slots.values));
    if (layout.ownsExtra) states.push(publish(this.turn, layout.state(step, layout.extra), extra.values));
    await Promise.all(states);
    if (layout.own) {
      slots.nowHolds(heldNames.slots(layout, step, layout.own));
      await passing('betweenPuts', step);
      await publish(this.turn, layout.params(step, layout.own), slice(params.values, layout.own));
    }
    if (layout.ownsExtra) extra.nowHolds(heldNames.extra(layout, step));
  }
}
