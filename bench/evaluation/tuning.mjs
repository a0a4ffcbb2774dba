// Choosing on the truth itself, which nobody can in reality: for other systems, and for a planner who knows everything.
import { minutes, runFixed, runPolicy, simulator, usd } from './systems.mjs';

const { timetable, fixed } = simulator;
export const COUNTS = [1, 2, 4, 8, 16, 32, 64, 128];
export const MEMORIES = [1_769, 3_538];

/** All allocations of a system on one seed's truth, each with its run; made once for both aims. */
export function tried(work, options) {
  const fits = (memoryMib) => memoryMib >= 1.1 * work.job.program.peakMemoryMib;
  const choices = COUNTS.flatMap((workers) => (options.memories ?? MEMORIES).filter(fits).map((memoryMib) => ({ workers, memoryMib })));
  return choices.map((choice) => ({ choice, run: runFixed(work, options.system, choice, options) })).filter(({ run }) => run.outcome === 'completed');
}
export const best = (runs, value) => runs.reduce((a, b) => (a === undefined || value(b.run) < value(a.run) ? b : a), undefined);

/** Time and price of a step at every choice, batch size and slowdown: what a planner knows who knows everything. */
export function truth(work, { exchange, batchSizes, slowdowns = [1] }) {
  const costs = new Map();
  for (const batchSize of batchSizes)
    for (const compute of slowdowns)
      for (const workers of COUNTS)
        for (const memoryMib of MEMORIES) {
          const oneSize = { ...work, job: { ...work.job, totalSteps: 20, batches: { batchSize } } };
          const run = runPolicy(oneSize, fixed({ workers, memoryMib }, 20), { exchange, changes: [{ atMs: 0, compute }], seed: 99 });
          const startMs = 2_000; // part of the run, but not of every step
          const ms = Math.max(1, run.timeMs - startMs) / 20;
          costs.set(stateOf(batchSize, compute, { workers, memoryMib }), { ms, usd: run.costNanoUsd.total / 1e9 / 20 });
        }
  return (batchSize, compute, choice) => costs.get(stateOf(batchSize, compute, choice));
}
const stateOf = (batchSize, compute, { workers, memoryMib }) => `${batchSize} ${compute} ${workers} ${memoryMib}`;
const allChoices = COUNTS.flatMap((workers) => MEMORIES.map((memoryMib) => ({ workers, memoryMib })));

/**
 * The omniscient planner: knows the times, the prices, the batch sizes to come and the moment the machine slows down, and
 * may change its allocation at every border of `parts` equal stretches of steps. All plans are weighed by what steps cost;
 * the best ones then run on the truth, and the best of those that keep the limits is taken.
 */
export function omniscient(work, { exchange, goal, known, changeAtMs = Infinity, slowdown = 1, parts = 8, seed, world = {} }) {
  const { totalSteps, batches } = work.job;
  const batchAt = (step) => [...(batches.batchSchedule ?? [])].reverse().find(({ fromStep }) => fromStep <= step)?.batchSize ?? batches.batchSize;
  const borders = new Set([0, ...(batches.batchSchedule ?? []).map(({ fromStep }) => fromStep)]);
  for (let part = 1; part < parts; part += 1) borders.add(Math.round((part * totalSteps) / parts));
  const starts = [...borders].sort((a, b) => a - b);
  // Of every number of sequences only those are kept that no other beats in both time and money at the same step.
  let plans = [{ ms: 0, usd: 0, stages: [] }];
  starts.forEach((fromStep, i) => {
    const steps = (starts[i + 1] ?? totalSteps) - fromStep;
    const grown = plans.flatMap((plan) =>
      allChoices.map((choice) => {
        const before = known(batchAt(fromStep), 1, choice);
        const after = known(batchAt(fromStep), slowdown, choice);
        const early = Math.min(steps, Math.max(0, (changeAtMs - plan.ms) / before.ms));
        const ms = plan.ms + early * before.ms + (steps - early) * after.ms;
        return { ms, usd: plan.usd + early * before.usd + (steps - early) * after.usd, stages: [...plan.stages, { ...choice, fromStep }] };
      }),
    );
    grown.sort((a, b) => a.ms - b.ms || a.usd - b.usd);
    let cheapest = Infinity;
    plans = grown.filter(({ usd }) => usd < cheapest && ((cheapest = usd), true));
  });
  const isKept = ({ ms, usd }) => ms <= (goal.deadlineMs ?? Infinity) && usd <= (goal.budgetUsd ?? Infinity);
  const value = ({ ms, usd }) => (goal.minimize === 'time' ? ms : usd);
  const hopeful = plans.filter(isKept).sort((a, b) => value(a) - value(b));
  const picked = Array.from(
    { length: Math.min(TRIED_PLANS, hopeful.length) },
    (_, i) => hopeful[Math.floor((i * i * hopeful.length) / TRIED_PLANS ** 2)],
  );
  const runs = picked.map(({ stages }) => ({ run: runPolicy(work, timetable(stages, 20), { exchange, seed, ...world }) }));
  const kept = runs.filter(({ run }) => isKept({ ms: run.timeMs, usd: usd(run) }));
  return best(kept, goal.minimize === 'time' ? minutes : usd)?.run;
}
const TRIED_PLANS = 12;
