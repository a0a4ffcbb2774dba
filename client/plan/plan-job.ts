import { availableParallelism, totalmem } from 'node:os';
import { sameShape } from '../../contracts/allocation';
import { laterPhases } from '../../contracts/batch-size';
import { withMethod } from '../../contracts/chosen-method';
import { mostLanes } from '../../contracts/cut';
import type { ExchangeKind, ExchangeOption } from '../../contracts/exchange';
import { minimizeOf, type Minimize } from '../../contracts/goal';
import type { Job } from '../../contracts/job';
import type { LossyMethod } from '../../contracts/lossy-methods';
import type { Allocation } from '../../contracts/round';
import { laneStateBytes } from '../../contracts/lane-state';
import { mostRoundSteps } from '../../contracts/round-length';
import type { Decision, DecisionRequest } from '../../contracts/scheduling';
import { durationMs, nanoUsd } from '../../contracts/units';
import { listPrices, pricesOf, redisNode } from '../../platforms/lambda/prices';
import { chooseMethod, decideNext, predictFrontier, undominated, type FrontierPoint, type MethodChoice, type MethodOffer } from '../../scheduler';
import { checkJob } from '../check-job';
import { exchangeOptions } from './exchange-options';
import type { Probed } from './probe-job';

export interface PlanPoint extends FrontierPoint {
  /** With this lossy method; left out: without any. */
  readonly method?: LossyMethod | undefined;
}
export interface JobPlan {
  readonly name: string;
  readonly goal: { readonly minimize: Minimize; readonly budgetUsd: number | null; readonly deadlineMs: number | null };
  readonly steps: number;
  readonly paramCount: number;
  /** What no other way beats in both time and cost, fastest first; with the choice, which lossy methods may beat. */
  readonly frontier: readonly PlanPoint[];
  /** What the scheduler would do for the job's own goal. */
  readonly choice: Decision;
  /** Which of the lossy methods that the job allows, and why; null where it allows none. */
  readonly method: MethodChoice | null;
  /** The exchanges that were compared, each with what would be chosen over it alone. */
  readonly exchanges: readonly (ExchangeOption & { readonly choice: Decision })[];
  /** What short rounds for this plan have cost; null where none were run. */
  readonly probe: { readonly rounds: number; readonly costUsd: number } | null;
  readonly assumptions: readonly string[];
}
export type PlanPlatform = 'local' | 'aws';

const MIB = 1_048_576;
/** AWS's default quota of concurrent executions an account and region. */
const ACCOUNT_CONCURRENCY = 1_000;
/** What an embedded Lambda server takes unless it is told otherwise. */
const MAX_MEMORY_MIB = 10_240;

/**
 * Predicts what a job's training takes, from the model's counted work, and from a probe's rounds where there was one; starts nothing and spends nothing.
 * @throws {SmltError} what `checkJob` throws
 */
export async function planJob(job: Job, where: PlanPlatform, tell: (line: string) => void, probed?: Probed): Promise<JobPlan> {
  const nowMs = Date.now();
  const { model, totalSteps } = await checkJob(job, nowMs, tell);
  const trials = job.tune?.trials ?? 1;
  const steps = totalSteps * trials;
  const { deadline, budgetUsd } = job.goal;
  const deadlineAtMs = deadline === undefined ? undefined : /^\d{4}-/.test(deadline) ? Date.parse(deadline) : nowMs + durationMs(deadline);
  const minimize = minimizeOf(job.goal);
  const machineMib = Math.floor((totalmem() / MIB) * 0.8);
  const local = where === 'local';
  const prices = local ? listPrices.x64 : pricesOf(process.env['AWS_REGION'] ?? listPrices.x64.region, 'x64', process.env);
  const options = startingWith(probed?.exchange, exchangeOptions(job, where, process.env));
  const { until, earlyStopping } = job.training;
  const requestFor = ({ synchronization: { topology, groups, compression, localSteps } }: Job): DecisionRequest => ({
    goal: { minimize, ...(budgetUsd !== undefined && { budgetNanoUsd: nanoUsd(budgetUsd) }), ...(deadlineAtMs !== undefined && { deadlineAtMs }) },
    nowMs,
    spentNanoUsd: 0,
    reservedNanoUsd: 0,
    remainingSteps: steps,
    openEnded: until !== undefined || earlyStopping !== undefined,
    // Trials have the same phases each, one after the other: how they are ordered changes no sum.
    laterSteps: laterPhases(job.training, 0, totalSteps).map((phase) => ({ ...phase, steps: phase.steps * trials })),
    stepsDone: 0,
    observations: [...(probed?.observations ?? [])],
    program: {
      ...{ ...model, bufferCount: 0 },
      peakMemoryMib:
        model.peakMemoryMib +
        laneStateBytes({ compression, localSteps }, model.paramCount, mostLanes(job.training.lanes, job.allocation.minWorkers ?? 1)) / MIB,
    },
    batchSize: job.training.batchSize,
    lanes: job.training.lanes,
    bounds: {
      minWorkers: job.allocation.minWorkers ?? 1,
      maxWorkers: job.allocation.maxWorkers ?? ACCOUNT_CONCURRENCY,
      ...(job.allocation.memoryMib !== undefined && { memoryMib: job.allocation.memoryMib }),
      minMemoryMib: 128,
      maxMemoryMib: local ? Math.min(MAX_MEMORY_MIB, machineMib) : MAX_MEMORY_MIB,
      concurrency: ACCOUNT_CONCURRENCY,
      totalCores: local ? availableParallelism() : Infinity,
    },
    prices,
    exchanges: options,
    ...{ topology, ...(groups !== undefined && { groups }), ...(compression && { compression }), ...(localSteps && { localSteps }) },
    mostRoundSteps: mostRoundSteps({ stepsPerRound: job.allocation.stepsPerRound, compression, localSteps, paramCount: model.paramCount }),
    ...{ phase: 'run', probesLeft: 0, forbidden: {}, seed: job.training.seed },
  });
  const lossless = requestFor(withMethod(job, undefined));
  const offers = (job.synchronization.allow ?? []).map((method) => ({ method, request: requestFor(withMethod(job, method)) }));
  const chosen = offers.length > 0 ? chooseMethod(lossless, offers) : null;
  const request = offers.find(({ method }) => method === chosen?.method)?.request ?? lossless;
  const choice = decideNext(request);
  return {
    name: job.name,
    goal: { minimize, budgetUsd: budgetUsd ?? null, deadlineMs: deadlineAtMs === undefined ? null : deadlineAtMs - nowMs },
    steps,
    paramCount: model.paramCount,
    frontier: frontierOf(lossless, offers, { ...choice, method: chosen?.method }),
    choice,
    method: chosen,
    exchanges: options.map((option) => ({ ...option, choice: decideNext({ ...request, exchanges: [option] }) })),
    probe: probed ? { rounds: probed.observations.length, costUsd: probed.costNanoUsd / 1e9 } : null,
    assumptions: [
      probed
        ? `Step times are those of short rounds that were run for this plan (${probed.observations.length}), carried over to other allocations.`
        : `Step times are predicted from ${Math.round(model.forwardFlopsPerSample).toLocaleString('en-US')} floating-point operations a sample, counted in the graph; nothing was run, so the bands are wide. --probe sharpens them.`,
      ...(until || earlyStopping ? ['All steps are counted: training.until or training.earlyStopping may end it earlier.'] : []),
      ...(chosen ? ['What a lossy method gains is predicted too; a run chooses by what its first rounds show.'] : []),
      ...(trials > 1
        ? [`All ${trials} trials are counted to their last step; median pruning and the winner's head start make it less.`]
        : ['Training only: evaluate and deploy add a few invocations.']),
      local
        ? `Functions on this machine: ${availableParallelism()} cores, exchange in memory. --on aws plans for Lambda.`
        : `AWS Lambda: ${ACCOUNT_CONCURRENCY.toLocaleString('en-US')} concurrent executions. A Redis server is a ${redisNode.type} node, at $${rentOf(options)} an hour for as long as the job trains; smlt starts none, and a bill may count whole hours.`,
      `AWS list prices of ${prices.region}, read on ${prices.readOn}.`,
    ],
  };
}

function frontierOf(lossless: DecisionRequest, offers: readonly MethodOffer[], choice: Decision & { method: LossyMethod | undefined }): PlanPoint[] {
  const lossy = offers.flatMap(({ method, request }) => predictFrontier(request).map((point) => ({ ...point, method })));
  const points: PlanPoint[] = undominated([...predictFrontier(lossless), ...lossy]);
  if (choice.kind !== 'run' || points.some((point) => isChosen(point, choice))) return points;
  const { allocation, prediction, method } = choice;
  return [...points, { allocation, prediction, ...(method && { method }) }].sort(
    (a, b) => a.prediction.remainingMs.p50 - b.prediction.remainingMs.p50,
  );
}
/** Whether it is what the plan chooses. */
export const isChosen = (
  point: Pick<PlanPoint, 'allocation' | 'method'>,
  choice: { allocation?: Allocation | undefined; method: LossyMethod | undefined },
): boolean => choice.allocation !== undefined && sameShape(point.allocation, choice.allocation) && point.method === choice.method;

/** What was probed over comes first: what was seen is told of it. */
const startingWith = (kind: ExchangeKind | undefined, options: readonly ExchangeOption[]): ExchangeOption[] => [
  ...options.filter((option) => option.kind === kind),
  ...options.filter((option) => option.kind !== kind),
];
const rentOf = (options: readonly ExchangeOption[]): number => Math.max(...options.map(({ usdPerHour, shards }) => usdPerHour / shards));
