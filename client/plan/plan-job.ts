import { availableParallelism, totalmem } from 'node:os';
import { laterPhases } from '../../contracts/batch-size';
import type { ExchangeKind, ExchangeOption } from '../../contracts/exchange';
import { minimizeOf, type Minimize } from '../../contracts/goal';
import type { Job } from '../../contracts/job';
import type { Allocation } from '../../contracts/round';
import { mostRoundSteps } from '../../contracts/round-length';
import type { Decision, DecisionRequest, Prediction } from '../../contracts/scheduling';
import { durationMs, nanoUsd } from '../../contracts/units';
import { listPrices, pricesOf, redisNode } from '../../platforms/lambda/prices';
import { decideNext, predictFrontier } from '../../scheduler';
import { checkJob } from '../check-job';
import { exchangeOptions } from './exchange-options';
import type { Probed } from './probe-job';

export interface JobPlan {
  readonly name: string;
  readonly goal: { readonly minimize: Minimize; readonly budgetUsd: number | null; readonly deadlineMs: number | null };
  readonly steps: number;
  readonly paramCount: number;
  /** Allocations that no other beats in both time and cost, fastest first. */
  readonly frontier: readonly { readonly allocation: Allocation; readonly prediction: Prediction }[];
  /** What the scheduler would do for the job's own goal. */
  readonly choice: Decision;
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
  const request: DecisionRequest = {
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
    program: { ...model, bufferCount: 0 },
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
    mostRoundSteps: mostRoundSteps({
      stepsPerRound: job.allocation.stepsPerRound,
      compression: job.synchronization.compression,
      paramCount: model.paramCount,
    }),
    phase: 'run',
    probesLeft: 0,
    forbidden: {},
    seed: job.training.seed,
  };
  return {
    name: job.name,
    goal: { minimize, budgetUsd: budgetUsd ?? null, deadlineMs: deadlineAtMs === undefined ? null : deadlineAtMs - nowMs },
    steps,
    paramCount: model.paramCount,
    frontier: predictFrontier(request),
    choice: decideNext(request),
    exchanges: options.map((option) => ({ ...option, choice: decideNext({ ...request, exchanges: [option] }) })),
    probe: probed ? { rounds: probed.observations.length, costUsd: probed.costNanoUsd / 1e9 } : null,
    assumptions: [
      probed
        ? `Step times are those of short rounds that were run for this plan (${probed.observations.length}), carried over to other allocations.`
        : `Step times are predicted from ${Math.round(model.forwardFlopsPerSample).toLocaleString('en-US')} floating-point operations a sample, counted in the graph; nothing was run, so the bands are wide. --probe sharpens them.`,
      ...(until || earlyStopping ? ['All steps are counted: training.until or training.earlyStopping may end it earlier.'] : []),
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

/** What was probed over comes first: what was seen is told of it. */
const startingWith = (kind: ExchangeKind | undefined, options: readonly ExchangeOption[]): ExchangeOption[] => [
  ...options.filter((option) => option.kind === kind),
  ...options.filter((option) => option.kind !== kind),
];
const rentOf = (options: readonly ExchangeOption[]): number => Math.max(...options.map(({ usdPerHour, shards }) => usdPerHour / shards));
