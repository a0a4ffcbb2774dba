import { phaseAt } from '../../contracts/batch-size';
import { SmltError } from '../../contracts/errors';
import { names, type Span } from '../../contracts/names';
import { addLoss } from '../../contracts/step-names';
import { clipFactor, globalNorm, normCount, rangeNorms, scaleBy } from '../../training/norms';
import { blendBuffers, update } from '../../training/optimizers';
import { countLoss, reductionsOf } from '../../training/plateau';
import { learningRateAt } from '../../training/schedules';
import { divide, type Vectors } from '../../training/kernels';
import { NodeSums, type NodeSum } from '../../training/tree';
import { bytesOf } from '../bytes';
import { passing } from '../fault-points';
import { LaneWork } from './gradients';
import { heldNames } from './load';
import { publish } from './publish';
import type { Turn } from './turn';
import { Arrivals } from './wait';

const keyOf = ({ start, end }: Span) => `${start}-${end}`;
const slice = (vector: Float32Array, { start, end }: Span) => vector.subarray(start, end);
function copyOf(values: Float32Array, vectors: Vectors): Float32Array {
  const copy = vectors.floats(values.length);
  copy.set(values);
  return copy;
}

/**
 * One step of one worker, in the order that the protocol asks for (invariant 2): partials for all ranges, norm, state,
 * params. Nothing is left out because a later name is found. Values of others are read as they come, whatever goes on here.
 */
export class Steps {
  readonly #lanes: LaneWork;
  readonly #reducers: Map<string, NodeSums>;
  #arrivals: Arrivals;
  /** On their way out of vectors that must not change meanwhile. */
  readonly #puts = new Set<Promise<void>>();

  constructor(
    private readonly turn: Turn,
    dataSamples: number,
  ) {
    const { layout, plan, workspace } = turn;
    this.#lanes = new LaneWork(turn, dataSamples);
    this.#reducers = new Map(
      layout.ownRanges.map((range) => [keyOf(range), new NodeSums(range.end - range.start, plan.recipeBody.lanes, workspace.memory)]),
    );
    this.#arrivals = new Arrivals(turn);
  }

  /** From params and own states of `step` in the workspace to those of `step + 1`, published; of the params only the own range is sure to be new. */
  async run(step: number): Promise<void> {
    const { layout } = this.turn;
    this.#arrivals = new Arrivals(this.turn);
    const own = new Set(layout.ownPartials(step));
    const others = layout.neededPartials(step).filter(({ name }) => !own.has(name));
    for (const { name, node, range } of others) {
      let vector = new Float32Array(0);
      this.#arrivals.expect({
        name,
        into: () => bytesOf((vector = this.turn.workspace.memory.floats(range.end - range.start))),
        take: () => this.#reducers.get(keyOf(range))!.add(node, vector, 'given'),
      });
    }
    const last = await this.#sendLanes(step);
    if (step + 1 < layout.plan.last) this.#expectParams(step + 1);
    await this.#arrivals.until(
      others.map(({ name }) => name),
      { step, published: [...own] },
    );
    const means = new Map(layout.ownRanges.map((range) => [keyOf(range), this.#mean(range)]));
    await this.#weigh(step, means, own);
    if (layout.ownsExtra) this.#checkLoss(step, means.get(keyOf(layout.extra))!);
    if (layout.own) await this.#clip(step, layout.own, means.get(keyOf(layout.own))!, [...own]);
    await this.turn.meter.during('reduce', async () => this.#advance(step, means));
    for (const [key, mean] of means) this.#reducers.get(key)!.recycle(mean);
    this.#lanes.recycle(last);
    await this.turn.meter.during('upload', () => this.#publishNext(step + 1));
  }

  /** Reads what is left of the other owners' params of a step, and where they decide its rate the counters; the workspace holds the step then. */
  async readParams(step: number): Promise<void> {
    const { layout, workspace } = this.turn;
    const { params, extra } = workspace;
    const wanted = this.#othersOf((range) => layout.params(step, range)).map(({ name }) => name);
    const readsExtra = layout.needsExtra && !layout.ownsExtra;
    if (readsExtra) {
      const name = layout.state(step, layout.extra);
      this.#arrivals.expect({ name, into: () => bytesOf(extra.values), take: () => undefined });
      wanted.push(name);
    }
    await this.#arrivals.until(wanted, { step: step - 1, published: layout.published(step) });
    params.nowHolds(heldNames.params(layout, step));
    if (readsExtra) extra.nowHolds(heldNames.extra(layout, step));
  }

  /** After a step that was left in the middle: when this returns, nothing is on its way into or out of the workspace any more. */
  async abandon(): Promise<void> {
    await this.#arrivals.close();
    await Promise.allSettled(this.#puts);
    this.turn.workspace.releaseWork();
    for (const reducer of this.#reducers.values()) reducer.forget();
    this.#lanes.forget();
  }

  #put(name: string, view: ArrayBufferView): Promise<void> {
    const put = publish(this.turn, name, view).finally(() => this.#puts.delete(put));
    put.catch(() => undefined); // thrown where it is awaited
    this.#puts.add(put);
    return put;
  }

  /** Computes the lanes and publishes their nodes, each as soon as it is whole. Returns the last one, lent to the reducers. */
  async #sendLanes(step: number): Promise<NodeSum> {
    const { layout, meter, workspace } = this.turn;
    let last: NodeSum | undefined;
    await meter.during('compute', () =>
      this.#lanes.compute(step, {
        beforeLastLane: () => passing('beforePut', step),
        onPiece: (node, range, sum) => {
          const before = meter.enter('upload');
          void this.#put(names.partial(layout.id, step, node, range), sum);
          meter.enter(before);
        },
        onNode: async (nodeSum) => {
          // With `reproducibility: values` a put may change what was summed.
          await meter.during('upload', () => Promise.all(this.#puts));
          const isLast = nodeSum.node.end === layout.lanes.end;
          for (const range of layout.ownRanges) {
            const reducer = this.#reducers.get(keyOf(range))!;
            if (isLast) reducer.add(nodeSum.node, slice(nodeSum.sum, range), 'lent');
            else reducer.add(nodeSum.node, copyOf(slice(nodeSum.sum, range), workspace.memory), 'given');
          }
          if (isLast) last = nodeSum;
          else this.#lanes.recycle(nodeSum);
        },
        afterLane: () => this.#arrivals.glance(),
      }),
    );
    return last!;
  }

  /** The others' params may be read in place as soon as the own lanes are computed. */
  #expectParams(step: number): void {
    const { layout, workspace } = this.turn;
    workspace.params.forget();
    for (const { name, range } of this.#othersOf((r) => layout.params(step, r)))
      this.#arrivals.expect({ name, into: () => bytesOf(slice(workspace.params.values, range)), take: () => undefined });
  }

  #othersOf(nameOf: (range: Span) => string): { name: string; range: Span }[] {
    const { layout } = this.turn;
    return layout.paramRanges.filter(({ start }) => start !== layout.own?.start).map((range) => ({ name: nameOf(range), range }));
  }

  #mean(range: Span): Float32Array {
    const before = this.turn.meter.enter('reduce');
    const mean = this.#reducers.get(keyOf(range))!.finish();
    divide(mean, mean, phaseAt(this.turn.plan.recipeBody, this.turn.plan.first).batchSize);
    this.turn.meter.enter(before);
    return mean;
  }

  #checkLoss(step: number, means: Float32Array): void {
    const loss = means[means.length - 1]!;
    if (Number.isFinite(loss)) return;
    const { run, track } = this.turn.plan;
    throw new SmltError('Diverged', `${run}/${track}: the mean loss of step ${step} is ${loss}, expected a finite number`);
  }

  /**
   * Where the losses of a batch weigh differently, its mean is not over samples: the mean weight goes round from the owner
   * of the extra range before anybody may use a gradient. A batch that counts nothing is left as it is: zeros.
   */
  async #weigh(step: number, means: ReadonlyMap<string, Float32Array>, published: Set<string>): Promise<void> {
    const { layout, meter } = this.turn;
    const { weightAt } = layout;
    if (weightAt === undefined || means.size === 0) return;
    const name = layout.norm(step, layout.extra);
    const mean = new Float32Array(1);
    if (layout.ownsExtra) {
      mean[0] = means.get(keyOf(layout.extra))![weightAt]!;
      published.add(name);
      await meter.during('upload', () => this.#put(name, mean));
    } else {
      this.#arrivals.expect({ name, into: () => bytesOf(mean), take: () => undefined });
      await this.#arrivals.until([name], { step, published: [...published] });
    }
    const weight = mean[0]!;
    if (weight === 0) return;
    for (const [key, vector] of means) {
      const weighed = key === keyOf(layout.extra) ? vector.subarray(-1) : vector;
      divide(weighed, weighed, weight);
    }
  }

  /** Global-norm clipping: one norm a block-tree node of each range goes round before anybody may scale. */
  async #clip(step: number, own: Span, gradient: Float32Array, published: readonly string[]): Promise<void> {
    const { layout, plan } = this.turn;
    const { clipNorm } = plan.recipeBody;
    if (clipNorm === undefined) return;
    const { blockElements, paramCount } = layout.program;
    const values = rangeNorms(gradient, own, blockElements, paramCount);
    await this.turn.meter.during('upload', () => this.#put(layout.norm(step, own), values));
    const norms = [{ range: own, values }];
    const others = this.#othersOf((range) => layout.norm(step, range));
    for (const { name, range } of others) {
      const theirs = new Float64Array(normCount(range, blockElements, paramCount));
      this.#arrivals.expect({ name, into: () => bytesOf(theirs), take: () => void norms.push({ range, values: theirs }) });
    }
    await this.#arrivals.until(
      others.map(({ name }) => name),
      { step, published: [...published, layout.norm(step, own)] },
    );
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
    if (layout.own) states.push(this.#put(layout.state(step, layout.own), slots.values));
    if (layout.ownsExtra) states.push(this.#put(layout.state(step, layout.extra), extra.values));
    await Promise.all(states);
    if (layout.own) {
      slots.nowHolds(heldNames.slots(layout, step, layout.own));
      await passing('betweenPuts', step);
      await this.#put(layout.params(step, layout.own), slice(params.values, layout.own));
    }
    if (layout.ownsExtra) extra.nowHolds(heldNames.extra(layout, step));
  }
}
