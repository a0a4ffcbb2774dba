// Dynamic batching as published: 1,024, 2,048, 4,096 samples, nobody is told before, and steps are to come as fast as ever.
import { spread } from '../statistics.mjs';
import { jobOf, simulator, runSmlt, runPolicy } from '../systems.mjs';
import { compareRivals } from './rivals.mjs';

const SCHEDULE = [
  { fromStep: 200, batchSize: 2_048 },
  { fromStep: 400, batchSize: 4_096 },
];
/** Compute counts, as in SMLT's own curves (40 times communication at 10 workers): 307 s a step on one vCPU. */
const COMPUTE_BOUND = { paramCount: 11.7e6, sampleMs: 300, batchSize: 1_024, totalSteps: 600 };
/** 42 s a step: just enough for the cheapest workers at 1,024 samples. */
const DEADLINE_MS = 7 * 3_600_000;
const workOf = (goal) => jobOf({ ...COMPUTE_BOUND, batchSchedule: SCHEDULE, goal });

/** The scheduler, who believes at every moment that today's batch size stays. */
const unannounced = (request) => simulator.decideNext({ ...request, laterSteps: [] });

export function batchingShapes(claims, tables, seeds) {
  const goal = { minimize: 'cost', deadlineMs: DEADLINE_MS };
  const { planned, table, isKept, rows } = compareRivals(workOf, { goal, exchange: 's3', seeds });
  const work = workOf(goal);
  const adaptive = seeds.map((seed) => runSmlt(work, { exchange: 's3', seed, policy: unannounced }));
  const stuck = seeds.map((seed) => runPolicy(work, planned(seed), { exchange: 's3', seed }));
  for (const [batchSize, published] of [[2_048, 2.4], [4_096, 3.7]]) // prettier-ignore
    claims.near(`dynamic batching: steps an hour at ${batchSize} samples, against keeping the cheapest workers for 1,024`, published, seeds.map((_, i) => stepMsOf(stuck[i], batchSize) / stepMsOf(adaptive[i], batchSize))); // prettier-ignore
  const met = (runs) => runs.filter((run) => run.outcome === 'completed' && isKept(run)).length;
  claims.holds('dynamic batching: smlt keeps the deadline, unannounced and announced; staying does not', 'all, all, none', `${met(adaptive)}, ${met(rows.smlt)}, ${met(stuck)} of ${seeds.length}`, met(adaptive) === seeds.length && met(rows.smlt) === seeds.length && met(stuck) === 0); // prettier-ignore
  const sizes = [1_024, 2_048, 4_096];
  tables['dynamic batching: ms a step, by batch size'] = Object.entries({ smlt: rows.smlt, 'smlt, unannounced': adaptive, staying: stuck }).map(([plan, runs]) => ({ plan, ...Object.fromEntries(sizes.map((size) => [size, spread(runs.map((run) => stepMsOf(run, size)), 0)])), workers: sizes.map((size) => lastOf(runs[0], size).workers).join(', ') })); // prettier-ignore
  tables['dynamic batching, announced, least cost in 7 hours'] = table;
}
const lastOf = (run, batchSize) => run.rounds.findLast((round) => round.batchSize === batchSize && round.kind === 'run') ?? { workers: '-' };
/** Of the last three rounds at a batch size, everything between them included. */
function stepMsOf(run, batchSize) {
  const rounds = run.rounds.filter((round) => round.batchSize === batchSize && round.kind === 'run').slice(-3);
  return rounds.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0) / rounds.reduce((sum, { steps }) => sum + steps, 0);
}
