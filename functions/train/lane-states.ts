import { laneStateLength, laneVectors } from '../../contracts/lane-state';
import { names } from '../../contracts/names';
import { methodOf, type LaneRule } from '../../training/compression';
import { learningRateAt } from '../../training/schedules';
import { floatsOf } from '../bytes';
import { lanesIn, type Layout } from './layout';
import type { Turn } from './turn';
import type { Held } from './workspace';

/*
 * What lanes keep from step to step: what they hold back of their gradients, their own optimiser's moments (docs/compression.md).
 * 1. The state of a lane at step s + 1 follows from its state at s and the params of s, whoever drives the lane.
 * 2. It is not exchanged. An instance keeps it for the newest two steps; at a round's end it goes into the object store.
 * 3. An instance that has not got it computes it again, from the round's first step on. So the exchange keeps the params of
 *    all steps of a round, and a step whose earlier params are lost is no complete one.
 */
const nameAt = (layout: Layout, step: number) => `${names.step(layout.id, step)}lanes/${layout.lanes.start}-${layout.lanes.end}`;

/** What all own lanes keep at a step; undefined where this instance has not got it. */
export function heldBack({ layout, workspace }: Turn, step: number): Float32Array | undefined {
  return workspace.laneStates.find((held) => held.isNamed(nameAt(layout, step), lengthOf(layout)))?.values;
}

/** One lane's part of it. */
export function laneStateOf(layout: Layout, all: Float32Array, lane: number): Float32Array {
  const length = laneLengthOf(layout);
  const start = (lane - layout.lanes.start) * length;
  return all.subarray(start, start + length);
}
const laneLengthOf = ({ plan, program }: Layout) => laneStateLength(plan.recipeBody, program.paramCount);
const lengthOf = (layout: Layout) => (layout.lanes.end - layout.lanes.start) * laneLengthOf(layout);

/** How lanes go from their states at a step to those at the next. */
export interface LaneStep {
  /** The moments of a lane's own optimiser, to be changed in place; none where it has none. */
  readonly moments: (lane: number) => Float32Array;
  /** Leaves in a lane's vector what is exchanged of it. */
  readonly select: (lane: number, vector: Float32Array, samples: number) => void;
  /** When all lanes have been through both. */
  readonly done: () => void;
}

/** A worker's lanes' states from one step to the next. */
export class LaneStates {
  readonly #rule: LaneRule | undefined;
  constructor(private readonly turn: Turn) {
    const { compression, seed } = turn.plan.recipeBody;
    this.#rule = compression && methodOf(compression, turn.workspace.scratch, seed).lane;
  }

  /** Gives up every newer state than that of `step`. Call `done` when all lanes have selected. */
  begin(step: number): LaneStep | undefined {
    const rule = this.#rule;
    const { layout, workspace, plan } = this.turn;
    if (!layout.stateful) return undefined;
    const { optimizer, schedule, totalSteps } = plan.recipeBody;
    const kept = heldBack(this.turn, step);
    if (!kept) throw new Error(`step ${step}: what the lanes keep is not here; it was to be found before`);
    const next = workspace.laneStates.find(({ values }) => values !== kept)!;
    this.#make(next);
    const learningRate = learningRateAt(optimizer, schedule, step, totalSteps);
    const { paramCount } = layout.program;
    const momentsAt = laneVectors(plan.recipeBody).residuals * paramCount;
    const residual = (all: Float32Array, lane: number) => laneStateOf(layout, all, lane).subarray(0, momentsAt);
    return {
      moments: (lane) => {
        const moments = laneStateOf(layout, next.values, lane).subarray(momentsAt);
        moments.set(laneStateOf(layout, kept, lane).subarray(momentsAt));
        return moments;
      },
      select: (lane, vector, samples) =>
        rule?.select(vector.subarray(0, paramCount), residual(kept, lane), residual(next.values, lane), {
          step,
          samples,
          params: workspace.params.values,
          learningRate,
        }),
      done: () => next.nowHolds(nameAt(layout, step + 1)),
    };
  }

  /**
   * Finds what the lanes keep at a step.
   * @param goOn  computes the lanes at a step before, once its params are in the workspace; false when those are gone
   */
  async recall(step: number, goOn: (step: number) => Promise<boolean>): Promise<boolean> {
    if (!this.turn.layout.stateful) return true;
    const { first } = this.turn.plan;
    let from = step;
    while (from > first && !heldBack(this.turn, from)) from--;
    if (!heldBack(this.turn, from)) await this.turn.meter.during('download', () => this.#loadStart());
    for (; from < step; from++) {
      await this.turn.lookForEnd();
      if (!(await goOn(from))) return false;
    }
    return true;
  }

  async #loadStart(): Promise<void> {
    const { layout, workspace, store, plan } = this.turn;
    const { start, first, recipeBody } = plan;
    const held = workspace.laneStates[0]!;
    this.#make(held);
    if (start.kind === 'initial' || first === recipeBody.laneStateFrom) held.values.fill(0);
    else
      await Promise.all(
        lanesIn(layout.lanes).map(async (lane) =>
          laneStateOf(layout, held.values, lane).set(floatsOf(await store.get(names.checkpointLane(start, start.step, lane)))),
        ),
      );
    held.nowHolds(nameAt(layout, first));
  }

  /** Room for all own lanes, of nobody's. */
  #make(held: Held): void {
    const { layout } = this.turn;
    held.forget();
    held.holds('', lengthOf(layout));
  }
}
