// What a method recommends after the micro-probe and k rounds of the whole cluster.
import type { ObservationInput } from '../../contracts/scheduling';
import { decideNext } from '../../scheduler';
import { microProbeCost, observe, type Job } from './job';
import type { Shape } from './surface';

export interface Outcome {
  readonly regret: number;
  readonly use: number;
  /** Spend of all probes over that of the best shape's whole job. */
  readonly probeShare: number;
  readonly probes: number;
  /** Whether the true objective stayed below the predicted p95. */
  readonly covered: boolean;
  /** CPU time. */
  readonly decisionMs: readonly number[];
}

export function smlt(job: Job, most: number): Outcome {
  const micro = microProbeCost(job);
  const observations: ObservationInput[] = [];
  const decisionMs: number[] = [];
  let spentNanoUsd = Math.ceil(micro.usd * 1e9);
  let nowMs = micro.wallMs;
  let stepsDone = 0;
  let current: ObservationInput['allocation'] | undefined;
  for (;;) {
    const begin = process.cpuUsage();
    const decision = decideNext({
      ...job.request,
      observations,
      probesLeft: most - observations.length,
      spentNanoUsd,
      nowMs,
      stepsDone,
      remainingSteps: job.steps - stepsDone,
      ...(current ? { current } : {}),
    });
    const { user, system } = process.cpuUsage(begin);
    decisionMs.push((user + system) / 1_000);
    if (decision.kind === 'probe') {
      const seen = observe(job, decision.allocation, { round: observations.length, cold: true });
      observations.push(seen);
      spentNanoUsd += seen.billedNanoUsd;
      nowMs += seen.wallMs;
      stepsDone += seen.steps;
      current = seen.allocation;
      continue;
    }
    const chosen: Shape | undefined = decision.kind === 'finish' ? decision.allocation : undefined;
    const probes = observations.length;
    const probeShare = spentNanoUsd / 1e9 / job.costUsd(chosen ?? job.shapes[0]!);
    if (chosen === undefined || decision.kind !== 'finish') return { regret: Infinity, use: Infinity, probeShare, probes, covered: true, decisionMs };
    const { remainingMs, remainingNanoUsd } = decision.prediction!;
    const remaining = job.steps - stepsDone;
    const left = [{ batchSize: job.surface.batchSize, steps: remaining }];
    return {
      regret: job.objective(chosen) / job.best - 1,
      use: job.use(chosen),
      probeShare,
      probes,
      covered: job.timeMs(chosen, left) <= remainingMs.p95 && job.costUsd(chosen, left) <= remainingNanoUsd.p95 / 1e9,
      decisionMs,
    };
  }
}
