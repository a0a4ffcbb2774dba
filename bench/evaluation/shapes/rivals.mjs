// Every policy on one truth, on smlt's own functions and exchange: only what they decide differs.
import { COUNTS, MEMORIES, best, omniscient, truth } from '../tuning.mjs';
import { median, spread } from '../statistics.mjs';
import { minutes, runPolicy, runSmlt, simulator, untuned, usd } from '../systems.mjs';

const { fixed, keyOf, scaleIn, siren, smltSearch } = simulator;
/** Inverse quadratic, a tenth of it for ever: MLLess's tuner needs a loss, and all policies here make the same steps. */
const lossOf = (totalSteps) => (steps) => 0.1 + 0.9 / (1 + 10 * (steps / totalSteps)) ** 2;
const ROUND_STEPS = 20;
const grid = { workers: COUNTS, memoriesMib: MEMORIES };
const allChoices = COUNTS.flatMap((workers) => MEMORIES.map((memoryMib) => ({ workers, memoryMib })));

/** One situation. @param goal  minimize, and deadlineMs or budgetUsd @param change  { atMs, compute }: unannounced */
export function compareRivals(workOf, { goal, exchange, change, seeds }) {
  const work = workOf(goal);
  const world = change ? { changes: [change] } : {};
  const { totalSteps, batches } = work.job;
  const batchSizes = [batches.batchSize, ...(batches.batchSchedule ?? []).map(({ batchSize }) => batchSize)];
  const slowdown = change?.compute ?? 1;
  const known = truth(work, { exchange, batchSizes, slowdowns: [...new Set([1, slowdown])] });
  const runs = (policyOf) => seeds.map((seed) => runPolicy(work, policyOf(seed), { exchange, seed, ...world }));
  const isKept = (run) => run.timeMs <= (goal.deadlineMs ?? Infinity) && usd(run) <= (goal.budgetUsd ?? Infinity);
  const value = goal.minimize === 'time' ? minutes : usd;
  /** The best on the first seed that keeps the limits there, else the one that passes them least; then run on all seeds. */
  const tunedOf = (policies, tryOut = work, tryWorld = world) => {
    const tries = policies.map((policyOf) => ({ policyOf, run: runPolicy(tryOut, policyOf(seeds[0]), { exchange, seed: seeds[0], ...tryWorld }) })); // prettier-ignore
    const use = (run) => Math.max(run.timeMs / (goal.deadlineMs ?? Infinity), usd(run) / (goal.budgetUsd ?? Infinity));
    const kept = tries.filter(({ run }) => isKept(run));
    return (kept.length > 0 ? best(kept, value) : best(tries, use)).policyOf;
  };
  const extreme = (least) => best(fixedAt.map((policyOf) => ({ policyOf, run: runPolicy(work, policyOf(), { exchange, seed: seeds[0], ...world }) })), least).policyOf; // prettier-ignore
  const learnt = new Map(allChoices.map((choice) => [keyOf(choice), known(batches.batchSize, 1, choice)]));
  const fixedAt = allChoices.map((choice) => () => fixed(choice, ROUND_STEPS));
  const scaleInFrom = (choice, threshold) => () => scaleIn({ ...choice, threshold, roundSteps: ROUND_STEPS, lossAfter: lossOf(totalSteps) });
  const sirenFrom = (more) => () => siren({ goal, ...grid, first: { workers: 16, memoryMib: 1_769 }, epochSteps: ROUND_STEPS, ...more });
  const asFirstBatch = { ...work, job: { ...work.job, batches: { batchSize: batches.batchSize } } };
  const planned = tunedOf(fixedAt, asFirstBatch, {});
  const rows = {
    smlt: seeds.map((seed) => runSmlt(work, { exchange, seed, ...world })),
    'omniscient, may change': seeds.map((seed) => omniscient(work, { exchange, goal, known, changeAtMs: change?.atMs, slowdown, seed, world })), // prettier-ignore
    'best fixed, knowing everything': runs(tunedOf(fixedAt)),
    'best fixed, knowing the beginning': runs(planned),
    'cheapest fixed, whatever the limits': runs(extreme(usd)),
    'fastest fixed, whatever the limits': runs(extreme(minutes)),
    'fixed, untuned': runs(() => fixed(untuned, ROUND_STEPS)),
    'MLLess’s scale-in, tuned': runs(tunedOf([16, 32, 64, 128].flatMap((workers) => [0.01, 0.05, 0.2].map((threshold) => scaleInFrom({ workers, memoryMib: 1_769 }, threshold))))), // prettier-ignore
    'MLLess’s scale-in, untuned': runs(scaleInFrom(untuned, 0.05)),
    'Siren’s policy, converged': runs(sirenFrom({ learnt })),
    'Siren’s policy, learning': runs(sirenFrom({})),
    'SMLT’s search, as published': runs((seed) => smltSearch({ goal, ...grid, probeSteps: Math.max(2, Math.round(0.02 * totalSteps)), roundSteps: ROUND_STEPS, seed })), // prettier-ignore
  };
  return { work, rows, isKept, planned, table: tableOf(rows, isKept, value) };
}

function tableOf(rows, isKept, value) {
  const least = rows['omniscient, may change'].map((run) => (run ? value(run) : undefined));
  return Object.entries(rows).map(([policy, all]) => {
    const made = all.map((run, i) => ({ run, i })).filter(({ run }) => run !== undefined);
    if (made.length === 0) return { policy, met: 'no plan keeps the limits' };
    const ratios = made.filter(({ run, i }) => isKept(run) && run.outcome === 'completed' && least[i]).map(({ run, i }) => value(run) / least[i]);
    return {
      policy,
      met: `${made.filter(({ run }) => isKept(run) && run.outcome === 'completed').length} of ${all.length}`,
      minutes: spread(made.map(({ run }) => minutes(run)), 1), // prettier-ignore
      usd: spread(made.map(({ run }) => usd(run))),
      'of omniscient, where met': ratios.length > 0 ? median(ratios).toFixed(2) : '-',
      workers: [...new Set(made[0].run.rounds.filter(({ kind }) => kind === 'run').map(({ workers }) => workers))].join(' '),
    };
  });
}
