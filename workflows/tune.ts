import { setHandler } from '@temporalio/workflow';
import { totalStepsOf } from '../contracts/batch-size';
import { canonicalJson } from '../contracts/canonical-json';
import type { PrepareAnswer } from '../contracts/functions';
import type { Job } from '../contracts/job';
import { addBills, totalNanoUsd, type Bill, type Grant } from '../contracts/money';
import { smallerIsBetter, type MetricName, type Metrics } from '../contracts/metrics';
import { trialTrack, TuneInput, type Outcome, type TrackResult, type Trial, type TuneResult } from '../contracts/pipeline';
import { partsOf } from '../contracts/synchronization';
import { shouldPrune, suggestTrial } from './activities';
import { evaluateWeights, judgingSplit } from './evaluation';
import { progressSignal, type Progress } from './messages';
import { billOfFailure, reasonOfFailure } from './failures';
import { parseInput, refusal } from './refusal';
import { openStage, type Stage } from './stage';
import { endingInOrder, listenForStop, runChild, tellToStop, type StopRequest } from './stopping';
import { train } from './train';

/** Trials train on tracks of their own with the full run's schedule and are cut early at rungs, so the winner simply goes on. */
export async function tune(raw: unknown): Promise<TuneResult> {
  const input = parseInput(TuneInput, raw, 'tune');
  const settings = input.job.tune;
  if (!settings) throw refusal('InvalidSpec', 'tune: the job has no tune section; add { "trials": 4, "parameters": { ... } }');
  let search: Search | undefined;
  const stop = listenForStop(() => search?.tellToStop());
  return endingInOrder(stop, async () => {
    const stage = await openStage(input);
    search = new Search(input, settings, stage, stop);
    const result = await search.run();
    await stage.close();
    return result;
  });
}

class Search {
  readonly #trials: Trial[] = [];
  /** Of each rung the values that trials have reached there. */
  readonly #rungValues: number[][];
  readonly #children = new Set<string>();
  readonly #journal: TuneResult['journal'] = [];
  #observations: TuneResult['observations'];
  #bill: Bill;
  #next = 0;
  #exhausted: string | undefined;

  constructor(
    input: TuneInput,
    private readonly settings: NonNullable<Job['tune']>,
    private readonly stage: Stage,
    private readonly stop: StopRequest,
    private readonly job: Job = input.job,
  ) {
    this.#rungValues = settings.rungs.map(() => []);
    this.#observations = input.observations;
    this.#bill = stage.bill;
    setHandler(progressSignal, (progress: Progress) =>
      stage.reportProgress({ ...progress, stage: 'tune', spentNanoUsd: totalNanoUsd(this.#bill) + progress.spentNanoUsd }),
    );
  }

  tellToStop(): void {
    for (const child of this.#children) tellToStop(child);
  }

  async run(): Promise<TuneResult> {
    const { trials: wanted, parallelism, metric } = this.settings;
    const lane = async () => {
      while (this.#next < wanted && !this.stop.requested && this.#exhausted === undefined) await this.#try(this.#next++);
    };
    await Promise.all(Array.from({ length: Math.min(parallelism, wanted) }, lane));
    const trials = this.#trials.sort((a, b) => a.index - b.index);
    const best = bestOf(trials, metric);
    const outcome = this.stop.requested ? 'stopped' : this.#exhausted !== undefined ? 'budgetExhausted' : best === null ? 'failed' : 'completed';
    const found =
      best === null
        ? 'no trial came to a result'
        : `trial ${best} is best of ${trials.length}: ${metric} ${trials.find(({ index }) => index === best)!.value!.toFixed(4)}`;
    return { outcome, reason: this.#exhausted ?? found, trials, best, bill: this.#bill, observations: this.#observations, journal: this.#journal };
  }

  async #try(index: number): Promise<void> {
    const { parameters, job } = await suggestTrial({ job: this.job, history: historyOf(this.#trials), index });
    const trial: Trial = { index, parameters, value: null, step: 0, state: 'running' };
    this.#trials.push(trial);
    this.stage.tellTrial({ ...trial });
    try {
      this.#update(trial, await this.#climb(trial, job));
    } catch (error) {
      this.#bill = addBills(this.#bill, billOfFailure(error));
      this.#update(trial, { state: 'failed' });
      // A job that is wrong is wrong in every trial; a trial that diverged or crashed is its own affair.
      if (this.#trials.every(({ state }) => state === 'failed') && this.#trials.length === this.settings.trials)
        throw refusal('FunctionFailed', `every trial failed; the last: ${reasonOfFailure(error)}`, this.#bill);
    }
  }

  /** Trains a trial from rung to rung while it is among the better ones. Returns how it ended. */
  async #climb(trial: Trial, job: Job): Promise<Partial<Trial>> {
    const { metric, rungs } = this.settings;
    const { program } = this.stage;
    for (const [rung, share] of rungs.entries()) {
      const trained = await this.#train(trial, job, share);
      if (trained.outcome !== 'completed' || trained.weights === undefined) {
        if (isLimit(trained.outcome)) this.#exhausted ??= `tune's share is used up: ${trained.reason}`;
        if (isLimit(trained.outcome) || trained.outcome === 'stopped') return { state: 'stopped', step: trained.step };
        return { state: trial.value === null ? 'failed' : 'pruned', step: trained.step };
      }
      const split = this.job.data.validation !== undefined ? 'validation' : judgingSplit(this.job);
      const measured = await evaluateWeights(job, program, trained.weights, split);
      this.#bill = addBills(this.#bill, measured.bill);
      const value = valueOf(measured.metrics, metric);
      this.#update(trial, { value, step: trained.step, weights: trained.weights });
      const others = [...this.#rungValues[rung]!];
      this.#rungValues[rung]!.push(value);
      const isLast = rung === rungs.length - 1;
      if (!isLast && (await shouldPrune({ metric, value, others, step: trained.step }))) return { state: 'pruned' };
    }
    return { state: 'complete' };
  }

  async #train({ index }: Trial, job: Job, share: number): Promise<TrackResult> {
    const { grant, program, run } = this.stage;
    const track = trialTrack(index);
    const workflowId = `${run}/tune/${track}`;
    this.#children.add(workflowId);
    const comparable = sameTimes(this.job, job);
    const result = await runChild(this.stop, train, workflowId, {
      ...{ job, run, track, program: sameProgram(this.job, job) ? program : undefined },
      grant: shareOf(grant(), this.#bill, this.settings.parallelism),
      untilStep: Math.max(1, Math.round(stepsOf(job, program) * share)),
      observations: comparable ? this.#observations.slice(-8) : [],
    });
    this.#children.delete(workflowId);
    this.#bill = addBills(this.#bill, result.bill);
    if (comparable) this.#observations = result.observations;
    this.#journal.push(...result.journal.slice(-1));
    return result;
  }

  #update(trial: Trial, change: Partial<Trial>): void {
    Object.assign(trial, change);
    this.stage.tellTrial({ ...trial });
  }
}

const isLimit = (outcome: Outcome) => outcome === 'budgetExhausted' || outcome === 'deadlineReached' || outcome === 'infeasibleGoal';

/** What the sampler learns from: trials that have a value, and those that failed. */
function historyOf(trials: readonly Trial[]) {
  return trials
    .filter(({ value, state }) => value !== null || state === 'failed')
    .map(({ parameters, value, state }) => ({
      params: parameters,
      value,
      state: state === 'pruned' || state === 'failed' ? state : ('complete' as const),
    }));
}

/** What one trial may spend now: what is left, divided among those that run side by side. */
function shareOf(grant: Grant, spent: Bill, parallelism: number): Grant {
  if (grant.budgetNanoUsd === undefined) return grant;
  return { ...grant, budgetNanoUsd: Math.max(0, Math.floor((grant.budgetNanoUsd - totalNanoUsd(spent)) / parallelism)) };
}

export const stepsOf = ({ training }: Job, { samples }: PrepareAnswer): number => totalStepsOf(training, samples);

/** Trials share the program unless what it is made from differs. */
export function sameProgram(a: Job, b: Job): boolean {
  const madeFrom = ({ model, loss, data, synchronization, training: { batchSize, batchSchedule, lanes, seed, recompute } }: Job) =>
    canonicalJson({ model, loss, data, batchSize, batchSchedule, lanes, seed, recompute, parts: partsOf(synchronization) });
  return madeFrom(a) === madeFrom(b);
}

/** What was seen of one's steps tells of the other's as it is: the same program, exchanged in the same way. */
export const sameTimes = (a: Job, b: Job): boolean => sameProgram(a, b) && canonicalJson(a.synchronization) === canonicalJson(b.synchronization);

function valueOf(metrics: Metrics, metric: string): number {
  const value = metrics[metric.split('.')[1] as MetricName];
  if (value === undefined) throw refusal('InvalidSpec', `tune.metric: this model has no ${metric}; expected validation.loss`);
  return value;
}

/** The best trial among those that came furthest: values of different rungs do not compare. */
export function bestOf(trials: readonly Trial[], metric: string): number | null {
  const measured = trials.filter((trial) => trial.value !== null && trial.weights !== undefined && trial.state !== 'failed');
  const furthest = measured.filter(({ step }) => step === Math.max(...measured.map((trial) => trial.step)));
  const sign = smallerIsBetter(metric) ? 1 : -1;
  return (
    furthest.reduce<Trial | null>((best, trial) => (best === null || sign * trial.value! < sign * best.value! ? trial : best), null)?.index ?? null
  );
}
