// Lossy methods that a job allows: which one pays, if any. What it changes is in the weights, so it is chosen once.
import { sameShape } from '../contracts/allocation';
import { compressionOf, type LossyMethod } from '../contracts/lossy-methods';
import type { DecisionRequest } from '../contracts/scheduling';
import { recommend } from './choose';
import { ACCEPT_FEASIBILITY, METHOD_MIN_GAIN } from './constants';
import { trafficOf } from './model/traffic';
import { over } from './model/workload';
import { violationOf, type Plan } from './plan';
import { plansOf } from './plans';
import { formatBytes, formatDuration, formatMethod, formatShape, formatShare, formatUsd } from './words';

/** A method, and what the scheduler is asked where the job has it. */
export interface MethodOffer {
  readonly method: LossyMethod;
  readonly request: DecisionRequest;
}
export interface MethodChoice {
  /** Left out: gradients stay as they are. */
  readonly method?: LossyMethod;
  /** One sentence. */
  readonly reason: string;
}

/**
 * How many times as many steps a method is reckoned to need for the same loss, where the job does not say. Only weighed: the
 * job's steps stay what they are. On the safe side of what is published and of docs/compression.md's table.
 */
export function stepsFactorOf(method: LossyMethod): number {
  if (method.stepsFactor !== undefined) return method.stepsFactor;
  switch (method.kind) {
    case 'bf16': // Kalamkar et al. 2019: no more steps than float32 in any of the networks
    case 'fp16': // Micikevicius et al. 2018: the same, where nothing overflows
      return 1;
    case 'qsgd': // Alistarh et al. 2017: 8 bits as good as float32, 4 bits within 1 % of its accuracy
      return method.bits === 8 ? 1.02 : 1.05;
    case 'top-k': // Lin et al. 2018 lose nothing with momentum correction, which is not here: measured on digits
      return method.density >= 0.1 ? 1.1 : 1.3;
  }
}

/**
 * Which method pays, if any: it must keep a limit that would be passed without it, or gain METHOD_MIN_GAIN of the objective.
 * @param lossless  what the scheduler is asked where nothing is lost
 * @throws {SmltError} `InvalidSpec` when an observation or a bound is not valid
 */
export function chooseMethod(lossless: DecisionRequest, offers: readonly MethodOffer[]): MethodChoice {
  const { minimize } = lossless.goal;
  const plain = bestOf(lossless, minimize);
  const ways = offers.flatMap(({ method, request }) => {
    const way = bestOf(longer(request, stepsFactorOf(method)), minimize);
    return way ? [{ method, request, ...way }] : [];
  });
  const best = ways.reduce<(typeof ways)[number] | undefined>((a, b) => (a === undefined || isBetter(b.plan, a.plan, 0) ? b : a), undefined);
  if (best === undefined) return { reason: 'Gradients stay as they are: no allowed method fits the memory there is.' };
  if (plain !== undefined && !isBetter(best.plan, plain.plan, METHOD_MIN_GAIN)) return { reason: whyNone(best, plain.plan) };
  // Its steps are the job's own: what they are reckoned to lose was for the choice.
  const way = bestOf(best.request, minimize)!;
  return { method: best.method, reason: whyThis(best.method, way, plain) };
}

interface Way {
  readonly plan: Plan;
  /** Of all workers, a step. */
  readonly movedBytes: number;
}
function bestOf(request: DecisionRequest, minimize: DecisionRequest['goal']['minimize']): Way | undefined {
  const { plans, context } = plansOf(request);
  const plan = recommend(plans, minimize);
  return plan && { plan, movedBytes: trafficOf(over(context.workload, plan.allocation), plan.allocation.workers).totalBytes };
}

const longer = (request: DecisionRequest, factor: number): DecisionRequest => ({
  ...request,
  remainingSteps: Math.round(request.remainingSteps * factor),
  laterSteps: (request.laterSteps ?? []).map((phase) => ({ ...phase, steps: Math.round(phase.steps * factor) })),
});

/** The order of recommending, with a gain below which nothing is better. */
function isBetter(a: Plan, b: Plan, leastGain: number): boolean {
  const [aKeeps, bKeeps] = [a, b].map(({ prediction }) => prediction.feasibility >= ACCEPT_FEASIBILITY);
  if (aKeeps !== bKeeps) return aKeeps!;
  return aKeeps ? a.objective < (1 - leastGain) * b.objective : violationOf(a) < (1 - leastGain) * violationOf(b);
}

function whyNone({ method, plan }: { method: LossyMethod; plan: Plan }, plain: Plan): string {
  const gain = 1 - plan.objective / plain.objective;
  const what =
    gain > 0 ? `would save ${formatShare(gain)}, and less than ${formatShare(METHOD_MIN_GAIN)} is not worth what it loses` : 'would save nothing';
  return `Gradients stay as they are: ${formatMethod(method)} ${what}.`;
}

function whyThis(method: LossyMethod, { plan, movedBytes }: Way, plain: Way | undefined): string {
  const what = `Gradients in ${formatMethod(method)}: ${formatShape(plan.allocation)} exchange ${formatBytes(movedBytes)} a step`;
  if (plain === undefined) return `${what}, and without it nothing fits the memory there is.`;
  const other = sameShape(plan.allocation, plain.plan.allocation) ? '' : ` by ${formatShape(plain.plan.allocation)}`;
  const [a, b] = [plan.prediction, plain.plan.prediction];
  const ms = b.remainingMs.p50 - a.remainingMs.p50;
  const nanoUsd = b.remainingNanoUsd.p50 - a.remainingNanoUsd.p50;
  const time = `${formatDuration(Math.abs(ms))} ${ms >= 0 ? 'less' : 'more'}`;
  const cost = `${formatUsd(Math.abs(nanoUsd))} ${nanoUsd >= 0 ? 'less' : 'more'}`;
  const chance =
    b.feasibility < ACCEPT_FEASIBILITY && a.feasibility > b.feasibility
      ? `, and the goal is kept with a chance of ${formatShare(a.feasibility)} instead of ${formatShare(b.feasibility)}`
      : '';
  return `${what} instead of ${formatBytes(plain.movedBytes)}${other}: ${time} and ${cost} to the end${chance}.`;
}

/** The request of a job that has this method instead of none, where nothing else follows from it. */
export const withCompression = (request: DecisionRequest, method: LossyMethod): DecisionRequest => ({
  ...request,
  compression: compressionOf(method),
});
