import { phaseAt } from '../../contracts/batch-size';
import { SmltError } from '../../contracts/errors';
import type { Span } from '../../contracts/names';
import { addLoss } from '../../contracts/step-names';
import { clipFactor, globalNorm, normCount, rangeNorms, scaleBy } from '../../training/norms';
import { blendBuffers, update } from '../../training/optimizers';
import { countLoss, reductionsOf } from '../../training/plateau';
import { learningRateAt } from '../../training/schedules';
import { divide } from '../../training/kernels';
import type { NodeSum } from '../../training/tree';
import { bytesOf } from '../bytes';
import { passing } from '../fault-points';
import { LaneWork } from './gradients';
import { heldNames, slotsOf } from './load';
import { Partials } from './partials';
import { publish } from './publish';
import { meanOf, RoleSums, type Awaited, type Means } from './sums';
import type { Turn } from './turn';
import { Arrivals, type Expected } from './wait';

const expectedIn = (name: string, view: ArrayBufferView): Expected => ({ name, bytes: view.byteLength, room: () => bytesOf(view) });
const slice = (vector: Float32Array, { start, end }: Span) => vector.subarray(start, end);

/**
 * One step of one worker, in the order that the protocol asks for (invariant 2): partials of the own lanes, partials of the
 * own group, norm, state, params. Nothing is left out because a later name is found. Values of others are read as they
 * come, whatever goes on here.
 */
export class Steps {
  readonly #partials: Partials;
  readonly #lanes: LaneWork;
  readonly #sums: RoleSums;
  readonly #arrivals: Arrivals;
  /** On their way out of vectors that must not change meanwhile. */
  readonly #puts = new Set<Promise<void>>();
  /** When a lone worker last published a step. */
  #leftBehindAtMs = performance.now();

  constructor(
    private readonly turn: Turn,
    dataSamples: number,
  ) {
    const { layout, plan, workspace } = turn;
    const { lanes } = plan.recipeBody;
    this.#partials = new Partials(plan.recipeBody, layout.program.paramCount, workspace.memory, workspace.scratch);
    this.#lanes = new LaneWork(turn, dataSamples, this.#partials);
    this.#sums = new RoleSums(layout.role, lanes, workspace.memory, this.#partials);
    this.#arrivals = new Arrivals(turn);
  }

  /** From params and own states of `step` in the workspace to those of `step + 1`, published; of the params only the updated ones are sure to be new. */
  async run(step: number): Promise<void> {
    const { layout, meter, plan } = this.turn;
    this.#arrivals.begin();
    this.#partials.step = step;
    const { combined, totals } = this.#sums.awaited;
    const fromMembers = this.#expectPartials(step, combined);
    const fromAll = this.#expectPartials(step, totals);
    const last = await this.#sendLanes(step);
    if (step + 1 < plan.last) this.#expectParams(step + 1);
    const published = layout.lanePartials(step);
    await this.#arrivals.until(fromMembers, { step, published: () => published });
    await meter.during('upload', () => this.#sums.combine((node, span, sum) => this.#putPartial(step, node, span, sum)));
    published.push(...layout.combinedPartials(step));
    await this.#arrivals.until(fromAll, { step, published: () => published });
    const means = await meter.during('reduce', async () => this.#sums.means(phaseAt(plan.recipeBody, plan.first).batchSize));
    await this.#weigh(step, means, published);
    const extra = meanOf(means, layout.extra);
    if (extra) this.#checkLoss(step, extra);
    await this.#clip(step, means, published);
    await meter.during('reduce', async () => this.#advance(step, means));
    this.#sums.recycle(means);
    this.#lanes.recycle(last);
    await meter.during('upload', () => this.#publishNext(step + 1));
  }

  /** Reads what is left of the other owners' params of a step, and where they decide its rate the counters; the workspace holds the step then. */
  async readParams(step: number): Promise<void> {
    const { layout, workspace } = this.turn;
    const { params, extra } = workspace;
    const wanted = this.#othersOf((range) => layout.params(step, range)).map(({ name }) => name);
    const readsExtra = layout.needsExtra && !layout.updatesExtra;
    if (readsExtra) {
      const name = layout.state(step, layout.extra);
      this.#arrivals.expect([expectedIn(name, extra.values)]);
      wanted.push(name);
    }
    await this.#arrivals.until(wanted, { step: step - 1, published: () => layout.published(step) });
    params.nowHolds(heldNames.params(layout, step));
    if (readsExtra) extra.nowHolds(heldNames.extra(layout, step));
  }

  /**
   * Nobody needs the steps of a worker that is alone but its own successor. So it publishes one a second, and before it
   * returns: that much work an instance's death may cost. True when it has published.
   */
  async leaveBehind(step: number, when: 'now' | 'nowAndThen'): Promise<boolean> {
    const { layout, meter, plan } = this.turn;
    if (!layout.alone || (when === 'nowAndThen' && performance.now() - this.#leftBehindAtMs < plan.times.lookMs)) return false;
    await meter.during('upload', () => this.#publishValues(step));
    this.#leftBehindAtMs = performance.now();
    return true;
  }

  /** Finds what the lanes hold back at a step, if they do. False when something it follows from is gone. */
  async recall(step: number): Promise<boolean> {
    return this.#lanes.recall(step);
  }

  /** Waits for nothing any more. */
  async close(): Promise<void> {
    await this.#arrivals.close();
  }

  /** After a step that was left in the middle: when this returns, nothing is on its way into or out of the workspace any more. */
  async abandon(): Promise<void> {
    await this.close();
    await Promise.allSettled(this.#puts);
    this.turn.workspace.releaseWork();
    this.#sums.forget();
    this.#lanes.forget();
  }

  #put(name: string, view: ArrayBufferView): Promise<void> {
    return this.#onItsWay(publish(this.turn, name, view));
  }
  #putPartial(step: number, node: Span, span: Span, sum: Float32Array): Promise<void> {
    const { bytes, done } = this.#partials.outgoing(sum, span);
    const adopt = (stored: Uint8Array) => this.#partials.decode(stored, span, sum);
    return this.#onItsWay(publish(this.turn, this.turn.layout.partial(step, node, span), bytes, adopt).finally(done));
  }
  #onItsWay(work: Promise<void>): Promise<void> {
    const put = work.finally(() => this.#puts.delete(put));
    put.catch(() => undefined); // thrown where it is awaited
    this.#puts.add(put);
    return put;
  }

  /** Expects partials of others; returns their names. */
  #expectPartials(step: number, awaited: readonly Awaited[]): string[] {
    const expected = awaited.map(({ node, span, take }) => this.#partials.expected(this.turn.layout.partial(step, node, span), span, take));
    if (expected.length > 0) this.#arrivals.expect(expected);
    return expected.map(({ name }) => name);
  }

  /** Computes the lanes and publishes their nodes, each as soon as it is whole. Returns the last one, lent to the sums. */
  async #sendLanes(step: number): Promise<NodeSum> {
    const { layout, meter } = this.turn;
    const published = new Set(layout.role.pieces.filter((piece) => piece.published).map(({ span }) => span.start));
    let last: NodeSum | undefined;
    await meter.during('compute', () =>
      this.#lanes.compute(step, {
        beforeLastLane: () => passing('beforePut', step),
        onPiece: (node, span, sum) => {
          if (!published.has(span.start)) return;
          const before = meter.enter('upload');
          void this.#putPartial(step, node, span, sum);
          meter.enter(before);
        },
        onNode: async (nodeSum) => {
          // With `reproducibility: values` a put may change what was summed.
          await meter.during('upload', () => Promise.all(this.#puts));
          const isLast = nodeSum.node.end === layout.lanes.end;
          this.#sums.addOwn(nodeSum, isLast ? 'lent' : 'read');
          if (isLast) last = nodeSum;
          else this.#lanes.recycle(nodeSum);
        },
        betweenLanes: () => this.#arrivals.glance(),
      }),
    );
    return last!;
  }

  /**
   * The others' params may be read in place as soon as the own lanes are computed. Who updates them itself only waits for
   * them: a step is left behind when it is complete.
   */
  #expectParams(step: number): void {
    const { layout, workspace } = this.turn;
    workspace.params.forget();
    const others = this.#othersOf((range) => layout.params(step, range));
    this.#arrivals.expect(others.map(({ name, range }) => (layout.replicated ? { name } : expectedIn(name, slice(workspace.params.values, range)))));
  }

  #othersOf(nameOf: (range: Span) => string): { name: string; range: Span }[] {
    const { layout } = this.turn;
    return layout.paramRanges.filter(({ start }) => start !== layout.own?.start).map((range) => ({ name: nameOf(range), range }));
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
  async #weigh(step: number, means: Means, published: string[]): Promise<void> {
    const { layout, meter } = this.turn;
    const { weightAt, extra, program } = layout;
    if (weightAt === undefined || means.length === 0) return;
    const name = layout.norm(step, extra);
    const mean = new Float32Array(1);
    const known = meanOf(means, extra);
    if (known) mean[0] = known[weightAt]!;
    if (!known) {
      this.#arrivals.expect([expectedIn(name, mean)]);
      await this.#arrivals.until([name], { step, published: () => published });
    } else if (!layout.replicated && !layout.alone) {
      published.push(name);
      await meter.during('upload', () => this.#put(name, mean));
    }
    const weight = mean[0]!;
    if (weight === 0) return;
    for (const { span, values } of means) {
      const gradient = values.subarray(0, Math.max(0, program.paramCount - span.start));
      const loss = values.subarray(span.end === extra.end ? -1 : values.length);
      for (const weighed of [gradient, loss]) divide(weighed, weighed, weight);
    }
  }

  /** Global-norm clipping: one norm a block-tree node of each range goes round before anybody may scale. */
  async #clip(step: number, means: Means, published: string[]): Promise<void> {
    const { layout, plan, meter } = this.turn;
    const { clipNorm } = plan.recipeBody;
    const { updatedSpan: span } = layout;
    if (clipNorm === undefined || span === undefined) return;
    const { blockElements, paramCount } = layout.program;
    const gradient = meanOf(means, span)!;
    const values = rangeNorms(gradient, span, blockElements, paramCount);
    const norms = [{ range: span, values }];
    if (!layout.replicated && !layout.alone) {
      await meter.during('upload', () => this.#put(layout.norm(step, span), values));
      published.push(layout.norm(step, span));
      const others = this.#othersOf((range) => layout.norm(step, range));
      const expected = others.map(({ name, range }) => {
        const theirs = new Float64Array(normCount(range, blockElements, paramCount));
        return { ...expectedIn(name, theirs), take: () => void norms.push({ range, values: theirs }) };
      });
      this.#arrivals.expect(expected);
      await this.#arrivals.until(
        others.map(({ name }) => name),
        { step, published: () => published },
      );
    }
    scaleBy(gradient, clipFactor(globalNorm(norms, blockElements, paramCount), clipNorm));
  }

  /** In place, so what the workspace holds has no name until the step is whole. */
  #advance(step: number, means: Means): void {
    const { layout, workspace, plan } = this.turn;
    const { optimizer, schedule, totalSteps, weightAverage, stateFrom = 0 } = plan.recipeBody;
    const { params, slots, extra } = workspace;
    for (const held of [params, slots, extra]) held.forget();
    const learningRate = learningRateAt(optimizer, schedule, step, totalSteps, reductionsOf(layout.counters(extra.values)));
    for (const range of layout.updated)
      update(
        optimizer,
        {
          params: slice(params.values, range),
          gradient: meanOf(means, range)!,
          slots: slotsOf(layout, slots.values, range),
          step: step - stateFrom,
          learningRate,
        },
        weightAverage,
      );
    if (!layout.updatesExtra) return;
    const { bufferCount, buffers } = layout.program;
    const observed = meanOf(means, layout.extra)!;
    for (const { offset, length, momentum } of buffers)
      blendBuffers(extra.values.subarray(offset, offset + length), observed.subarray(offset, offset + length), momentum);
    // At absolute step numbers: in another round, after a cut, the same step has the same state.
    addLoss(extra.values.subarray(bufferCount), step, observed[bufferCount]!);
    countLoss(schedule, layout.counters(extra.values), step, observed[bufferCount]!);
  }

  async #publishNext(step: number): Promise<void> {
    const { layout, workspace } = this.turn;
    const { params, slots, extra } = workspace;
    if (!layout.alone) await this.#publishValues(step);
    if (layout.updatedSpan) slots.nowHolds(heldNames.slots(layout, step));
    if (layout.updatesExtra) extra.nowHolds(heldNames.extra(layout, step));
    if (layout.replicated || layout.alone) params.nowHolds(heldNames.params(layout, step));
  }

  /** State, then params, one behind the other: a step is complete when all of both are there, so neither waits for the other's reply. */
  async #publishValues(step: number): Promise<void> {
    const { layout, workspace } = this.turn;
    const { params, slots, extra } = workspace;
    const puts: Promise<void>[] = [];
    if (layout.own) puts.push(this.#put(layout.state(step, layout.own), slotsOf(layout, slots.values, layout.own)));
    if (layout.ownsExtra) puts.push(this.#put(layout.state(step, layout.extra), extra.values));
    if (layout.own) {
      await passing('betweenPuts', step);
      puts.push(this.#put(layout.params(step, layout.own), slice(params.values, layout.own)));
    }
    await Promise.all(puts);
  }
}
