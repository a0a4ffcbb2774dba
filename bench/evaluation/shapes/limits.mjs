// A deadline and a budget that bind, and machines that become slower on the way. Usual faults.
import { spread } from '../statistics.mjs';
import { RESNET18, jobOf, minutes, usd } from '../systems.mjs';
import { compareRivals } from './rivals.mjs';

const DEADLINE_MIN = 60;
const BUDGET_USD = 2.4;
const workOf = (goal) => jobOf({ ...RESNET18, goal });

export function limitShapes(claims, tables, seeds) {
  const change = { atMs: 20 * 60_000, compute: 1.3 };
  const deadline = compareRivals(workOf, { goal: { minimize: 'cost', deadlineMs: DEADLINE_MIN * 60_000 }, exchange: 'redis', change, seeds });
  const { smlt } = deadline.rows;
  const cheapest = deadline.rows['cheapest fixed, whatever the limits'];
  const told = (runs) => `${spread(runs.map(minutes), 1)} min, $${spread(runs.map(usd))}`;
  const isMet = (run) => run.outcome === 'completed' && deadline.isKept(run);
  claims.holds(`deadline: smlt meets ${DEADLINE_MIN} minutes on every seed`, `<= ${DEADLINE_MIN} min`, told(smlt), smlt.every(isMet)); // prettier-ignore
  claims.holds('deadline: the cheapest fixed allocation misses it', `> ${DEADLINE_MIN} min`, told(cheapest), !cheapest.some(isMet)); // prettier-ignore
  tables[`deadline of ${DEADLINE_MIN} minutes, least cost, machines 1.3 times slower after 20 minutes`] = deadline.table;

  const slower = { atMs: 5 * 60_000, compute: 1.3 };
  const budget = compareRivals(workOf, { goal: { minimize: 'time', budgetUsd: BUDGET_USD }, exchange: 's3', change: slower, seeds });
  const { smlt: poor } = budget.rows;
  const rich = budget.rows['fastest fixed, whatever the limits'];
  const stuck = budget.rows['best fixed, knowing the beginning'];
  const isWithin = (run) => run.outcome === 'completed' && budget.isKept(run);
  claims.holds(`budget: smlt ends within $${BUDGET_USD} on every seed, and uses more than 80 % of it`, `$${(0.8 * BUDGET_USD).toFixed(2)} to $${BUDGET_USD}`, told(poor), poor.every((run) => isWithin(run) && usd(run) > 0.8 * BUDGET_USD)); // prettier-ignore
  claims.holds('budget: it binds: more workers are faster and pass it', `> $${BUDGET_USD}, faster`, told(rich), rich.every((run, i) => usd(run) > BUDGET_USD && run.timeMs < poor[i].timeMs)); // prettier-ignore
  claims.holds('budget: the fastest allocation that kept it before machines became slower, kept fixed, passes it', `> $${BUDGET_USD}`, told(stuck), !stuck.some(isWithin)); // prettier-ignore
  tables[`budget of $${BUDGET_USD}, least time, machines 1.3 times slower after 5 minutes`] = budget.table;
}
