import { isCancellation } from '@temporalio/workflow';
import type { PrepareAnswer, WeightsReference } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, type Bill } from '../contracts/money';
import type { EarlyStopping, ValidationPoint } from '../contracts/validation';
import { judgeValidation } from './activities';
import { evaluateWeights } from './evaluation';
import { billOfFailure, codeOfFailure, reasonOfFailure } from './failures';
import { refusal } from './refusal';

const SHOWN_POINTS = 20;

export interface Look {
  readonly bill: Bill;
  readonly point: ValidationPoint;
  readonly note: string;
  /** What training ends with, if it ends here. */
  readonly end?: { readonly reason: string; readonly weights: WeightsReference };
}

/** Looks at a track's weights on data.validation from time to time, where its job ends by what is seen there. */
export class Validation {
  readonly #everySteps: number;
  #due: number;
  /** The newest, for those who ask when the track has ended. */
  points: ValidationPoint[] = [];

  private constructor(
    private readonly job: Job,
    private readonly program: PrepareAnswer,
    step: number,
    private readonly lastStep: number,
    /** Where the work is forecast to end. */
    public plannedStep: number | undefined,
  ) {
    const { validateEverySteps, batchSize } = job.training;
    this.#everySteps = validateEverySteps ?? Math.max(1, Math.ceil(program.samples / batchSize));
    this.#due = step > 0 && step % this.#everySteps === 0 ? step : this.#after(step);
  }

  /** @returns undefined where only the number of steps decides */
  static of(job: Job, program: PrepareAnswer, { step, lastStep, plannedStep }: { step: number; lastStep: number; plannedStep: number | undefined }) {
    const { until, earlyStopping } = job.training;
    return until || earlyStopping ? new Validation(job, program, step, lastStep, plannedStep) : undefined;
  }

  #after(step: number): number {
    return Math.min(this.lastStep, (Math.floor(step / this.#everySteps) + 1) * this.#everySteps);
  }

  /** What the scheduler must know: no round crosses the next validation. */
  get ahead(): { pauseAtStep: number; plannedStep: number | undefined; earlyStopping: EarlyStopping | undefined } {
    return { pauseAtStep: this.#due, plannedStep: this.plannedStep, earlyStopping: this.job.training.earlyStopping };
  }

  /** @param spent  what the track has cost so far: a look that fails must not lose it */
  async lookIfDue(weights: WeightsReference, step: number, spent: Bill): Promise<Look | undefined> {
    if (step < this.#due) return undefined;
    this.#due = this.#after(step);
    const { until, earlyStopping } = this.job.training;
    const { metrics, bill } = await evaluateWeights(this.job, this.program, weights, 'validation').catch((error: unknown) => {
      if (isCancellation(error)) throw error;
      throw refusal(codeOfFailure(error), reasonOfFailure(error), addBills(spent, billOfFailure(error)));
    });
    const { confusion: _shown, ...values } = metrics;
    const { verdict, point, weights: best } = await judgeValidation({ ...weights, step, metrics: values, until, earlyStopping });
    const { kind, note } = verdict;
    this.points = [...this.points, point].slice(-SHOWN_POINTS);
    if (kind === 'goOn') this.plannedStep = verdict.plannedStep;
    const end =
      kind !== 'goOn'
        ? { reason: note, weights: best }
        : step >= this.lastStep
          ? { reason: `trained ${step} of ${step} steps; ${note}`, weights: best }
          : undefined;
    return { bill, point, note, ...(end && { end }) };
  }
}
