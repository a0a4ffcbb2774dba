// smlt's public optimiser on a table, as anybody would use it: no model, no parts of a step.
import { createOptimizer, type Trial } from '../../scheduler';
import { look, type Table } from './tables';

export function smltGeneral(table: Table, most: number): number {
  const { rows, minimize, limit, seed, noise } = table;
  const optimizer = createOptimizer({
    space: {
      options: rows.map(({ allocation, usdPerSecond }) => ({ allocation, usdPerSecond })),
      ...(rows[0]!.allocation['workers'] === undefined ? {} : { workers: 'workers' }),
      ...(rows[0]!.allocation['vcpus'] === undefined ? {} : { vcpus: 'vcpus' }),
    },
    goal: minimize === 'cost' ? { minimize, deadlineMs: limit * 1_000 } : { minimize, budgetUsd: limit },
    seed,
    maxProbes: most,
    ...(noise > 0 ? { noise } : {}),
  });
  const indexOf = new Map(rows.map(({ allocation }, i) => [JSON.stringify(allocation), i]));
  const trials: Trial[] = [];
  for (;;) {
    const next = optimizer.suggest(trials);
    const index = indexOf.get(JSON.stringify(next.allocation))!;
    if (next.kind !== 'probe') return index;
    const { seconds } = look(table, index);
    const { allocation } = rows[index]!;
    trials.push(seconds === null ? { allocation, failed: true } : { allocation, timeMs: seconds * 1_000 });
  }
}
