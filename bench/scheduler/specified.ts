// The method that smlt's scheduler was specified as, as its specification says: one ridge fit a component, one residual process
// of a fixed amplitude, acceptance at 80 %. What the scheduler does instead is measured against it.
import { DecisionInput } from '../../contracts/scheduling';
import { gaussianProcess } from '../../scheduler/model/matern';
import { nnls } from '../../scheduler/model/nnls';
import { computeFeatures, microFeatures, microPosition, positionOf, syncFeatures, workloadOf } from '../../scheduler/model/workload';
import { logSd, normalCdf, normalPdf } from '../../scheduler/normal';
import { microProbeCost, observe, type Job } from './job';
import type { Outcome } from './probing';
import type { Shape } from './surface';

const AMPLITUDE = 0.3;
const LENGTH = 0.35;
const ACCEPT = 0.8;
const INCUMBENT = 0.5;
const COMPUTE_SHARES = [0.15, 0.85, 2, 0.06];
const COMPUTE_SD = [1.5, 1.5, 2, 1.5];
/** Own bandwidth, the store's, requests, barriers. */
const SYNC_THETA = [1, 0.5, 1, 1];
const SYNC_SD = [0.3, 1.5, 0.5, 1];
const REFITS = 3;

interface Sample {
  readonly features: readonly number[];
  readonly at: readonly number[];
  readonly ms: number;
}
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Ridge non-negative least squares on relative errors, refitted against stragglers, and a Matérn process on what is left. */
function fitPart(samples: readonly Sample[], theta0: readonly number[], relativeSd: readonly number[], noise: number) {
  let weights = samples.map(() => 1 / noise);
  const rowsOf = () => [
    ...samples.map(({ features, ms }, i) => features.map((phi) => (phi / ms) * weights[i]!)),
    ...theta0.map((theta, i) => theta0.map((_, j) => (i === j ? 1 / (relativeSd[i]! * theta) : 0))),
  ];
  const fit = () => nnls(rowsOf(), [...weights, ...relativeSd.map((sd) => 1 / sd)]);
  let theta = fit();
  for (let i = 0; i < REFITS; i += 1) {
    weights = samples.map(({ features, ms }) => {
      const late = Math.max(0, 1 - dot(features, theta) / ms);
      return 1 / (noise * Math.sqrt(1 + (late / (2 * noise)) ** 2));
    });
    theta = fit();
  }
  const points = samples.map(({ at, features, ms }, i) => ({
    at,
    value: Math.log(ms / Math.max(dot(features, theta), 1e-9)),
    noise: 1 / weights[i]!,
  }));
  const residual = gaussianProcess(points, AMPLITUDE, LENGTH);
  const rows = rowsOf();
  const precision = theta0.map((_, i) => theta0.map((__, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0)));
  return (features: readonly number[], at: readonly number[]) => {
    const { mean, variance } = residual.predict(at);
    const ms = dot(features, theta) * Math.exp(mean);
    return { ms, variance: dot(features, solveLinear(precision, features)) + ms * ms * variance };
  };
}

/** A small symmetric positive system by elimination. */
function solveLinear(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  rows.forEach((pivot, i) =>
    rows.forEach((row, k) => {
      const factor = k === i ? 0 : row[i]! / pivot[i]!;
      if (factor !== 0) for (let j = i; j < row.length; j += 1) row[j]! -= factor * pivot[j]!;
    }),
  );
  return rows.map((row, i) => row.at(-1)! / row[i]!);
}

/** Micro-probe and so many rounds of the whole cluster; none is left out, and limits do not count what they cost. */
export function specified(job: Job, looks: number): Outcome {
  const workload = workloadOf(DecisionInput.parse(job.request));
  const noise = 1.2 * Math.max(job.noise, 0.04);
  const computeSamples: Sample[] = job.request.program.microProbe!.map(({ memoryMib, samples, computeMs }) => ({
    features: microFeatures(workload, memoryMib, samples),
    at: microPosition(workload, memoryMib, samples),
    ms: computeMs,
  }));
  const syncSamples: Sample[] = [];
  const syncTerms = (shape: Shape) => syncFeatures(workload, shape).slice(0, SYNC_THETA.length);
  const seen: Shape[] = [];
  let spentUsd = microProbeCost(job).usd;
  for (;;) {
    const c0 = COMPUTE_SHARES.map((share) => share * workload.sampleMs);
    const compute = fitPart(computeSamples, c0, COMPUTE_SD, noise);
    const sync = fitPart(syncSamples, SYNC_THETA, SYNC_SD, noise);
    const plans = job.shapes.map((shape) => {
      const [c, s] = [compute(computeFeatures(workload, shape), positionOf(shape)), sync(syncTerms(shape), positionOf(shape))];
      const stepMs = c.ms + s.ms;
      const sd = logSd(stepMs, c.variance + s.variance);
      const { objective, use, usd } = job.whatIf(shape, stepMs);
      return { shape, stepMs, sd, logObjective: Math.log(objective), feasibility: normalCdf(-Math.log(use) / sd), usdPerStep: usd / job.steps };
    });
    const allowed = (least: number) => plans.filter(({ feasibility }) => feasibility >= least);
    const [safe, likely] = [allowed(ACCEPT), allowed(INCUMBENT)];
    const best = (of: typeof plans) => of.reduce((a, b) => (b.logObjective < a.logObjective ? b : a));
    const likeliest = plans.reduce((a, b) => (b.feasibility > a.feasibility ? b : a));
    const chosen = safe.length > 0 ? best(safe) : likeliest;
    if (seen.length === looks) {
      const { shape, stepMs, sd } = chosen;
      const p95 = job.whatIf(shape, stepMs * Math.exp(1.6449 * sd));
      const covered = job.timeMs(shape) <= p95.ms && job.costUsd(shape) <= p95.usd;
      return {
        regret: job.objective(shape) / job.best - 1,
        use: job.use(shape),
        probeShare: spentUsd / job.costUsd(shape),
        probes: looks,
        covered,
        decisionMs: [],
      };
    }
    const incumbent = (likely.length > 0 ? best(likely) : likeliest).logObjective;
    const score = ({ logObjective, sd, feasibility, usdPerStep, stepMs }: (typeof plans)[number]) => {
      const z = (incumbent - logObjective) / sd;
      const improvement = sd * (z * normalCdf(z) + normalPdf(z));
      return (feasibility * improvement) / Math.sqrt(stepsOf(stepMs) * (job.minimize === 'cost' ? usdPerStep : stepMs));
    };
    const untried = plans.filter(({ shape }) => !seen.includes(shape));
    const next = seen.length === 0 ? chosen : untried.reduce((a, b) => (score(b) > score(a) ? b : a));
    const shown = observe(job, { ...next.shape, steps: stepsOf(next.stepMs) }, { round: seen.length, cold: true });
    const syncMs = shown.stepMs - shown.parts!.computeMs;
    computeSamples.push({ features: computeFeatures(workload, next.shape), at: positionOf(next.shape), ms: shown.parts!.computeMs });
    syncSamples.push({ features: syncTerms(next.shape), at: positionOf(next.shape), ms: syncMs });
    seen.push(next.shape);
    spentUsd += shown.billedNanoUsd / 1e9;
  }
}
/** A probe is at least 2 and at most 8 iterations, about 15 s. */
const stepsOf = (stepMs: number) => Math.max(2, Math.min(8, Math.floor(15_000 / stepMs)));
