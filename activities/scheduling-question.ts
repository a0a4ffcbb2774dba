import type { WeightsReference } from '../contracts/functions';
import type { Grant } from '../contracts/money';
import type { Carried } from '../contracts/pipeline';
import type { Allocation, Round } from '../contracts/round';
import type { Forbidden, Observation } from '../contracts/scheduling';
import type { EarlyStopping } from '../contracts/validation';

export type Accepted = NonNullable<Carried['accepted']>;
/** Where a track stands and what it may spend: all that the next round is decided from, besides the track's context. */
export interface NextQuestion {
  readonly run: string;
  readonly track: string;
  readonly recipe: string;
  readonly round: number;
  readonly step: number;
  readonly untilStep: number;
  /** The next validation: no round crosses it. */
  readonly pauseAtStep?: number | undefined;
  /** Where the work is forecast to end, if that is known and earlier; plans are made for it. */
  readonly plannedStep?: number | undefined;
  readonly earlyStopping?: EarlyStopping | undefined;
  /** The work may end at any step, so no forecast of its rest refuses it. */
  readonly openEnded?: boolean | undefined;
  /** The committed round to start from; null starts from the program's initial parameters. */
  readonly from: WeightsReference | null;
  readonly grant: Grant;
  readonly wholeGoal?: Grant | undefined;
  readonly switches: number;
  /** What the first decision promised: no later one passes twice its p95 without consent. */
  readonly accepted?: Accepted | undefined;
  readonly spentNanoUsd: number;
  readonly nowMs: number;
  readonly current: Allocation | null;
  readonly observations: readonly Observation[];
  readonly phase: 'profile' | 'run';
  readonly probesLeft: number;
  readonly forbidden: Forbidden;
}
/** `observations`: the question's, compacted, where they grew too many to travel. */
export type NextAnswer =
  | {
      readonly kind: 'round';
      readonly probe: boolean;
      readonly round: Round;
      readonly promised?: Accepted;
      readonly observations?: readonly Observation[];
    }
  | { readonly kind: 'stop'; readonly outcome: 'completed' | 'budgetExhausted' | 'deadlineReached' | 'infeasibleGoal'; readonly reason: string };
