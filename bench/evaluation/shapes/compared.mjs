// All systems on the same jobs, untuned and tuned, and what LambdaML's paper says of serverless and machines.
import { best, tried } from '../tuning.mjs';
import { BERT_MEDIUM, RESNET18, jobOf, minutes, prices, runFixed, runSmlt, simulator, systems, untuned, usd } from '../systems.mjs';

const { exchanges, lambdaWorkers, machineNetwork, machineTypes, machineWorkers } = simulator;
const SMALL = 'small, short (0.5M)';
const LARGE = 'BERT-medium (41M)';
const jobs = {
  [SMALL]: { paramCount: 5e5, sampleMs: 20, batchSize: 2_048, totalSteps: 150 },
  'ResNet-18 (11.7M)': { ...RESNET18, totalSteps: 300 },
  [LARGE]: { paramCount: BERT_MEDIUM, sampleMs: 400, batchSize: 1_024, totalSteps: 150 },
};

export function comparedShapes(claims, tables) {
  const compared = Object.fromEntries(Object.entries(jobs).map(([name, spec]) => [name, compare(name, spec, tables)]));
  const lambdaml = (name) => compared[name].filter(({ system }) => system.startsWith('LambdaML'));
  const machines = (name) => compared[name].filter(({ system }) => system.endsWith('.large'));
  const least = (rows, part, value) => Math.min(...rows.flatMap((row) => (row[part] ? [value(row[part].run)] : [])));
  const speedup = (name) => least(machines(name), 'fast', minutes) / least(lambdaml(name), 'fast', minutes);
  const saved = (name) => least(machines(name), 'cheap', usd) / least(lambdaml(name), 'cheap', usd);
  claims.holds('LambdaML: serverless is faster than machines for a small short job', '> 1', speedup(SMALL).toFixed(2), speedup(SMALL) > 1);
  const savings = Object.keys(jobs).map(saved);
  claims.holds('LambdaML: and never significantly cheaper', 'machines cost >= 1 / 1.25', savings.map((ratio) => ratio.toFixed(2)).join(', '), savings.every((ratio) => ratio < 1.25)); // prettier-ignore
  const large = [speedup(LARGE), saved(LARGE)];
  claims.holds('LambdaML: slower and dearer for a large dense model', '< 1 and < 1', large.map((ratio) => ratio.toFixed(2)).join(' and '), large.every((ratio) => ratio < 1)); // prettier-ignore
  claims.near('utilisation below which serverless is cheaper than an m5.large that is always on', 0.4, utilisation());
}

function compare(name, spec, tables) {
  const completed = (goal) => ['redis', 's3'].map((exchange) => runSmlt(jobOf({ ...spec, goal }), { exchange })).filter(({ outcome }) => outcome === 'completed'); // prettier-ignore
  const byTime = completed({ minimize: 'time' }).reduce((a, b) => (b.timeMs < a.timeMs ? b : a));
  const byCost = completed({ minimize: 'cost' }).reduce((a, b) => (usd(b) < usd(a) ? b : a));
  const work = jobOf(spec);
  const rows = Object.entries(systems).map(([system, options]) => {
    const memoryMib = options.memories?.[0] ?? untuned.memoryMib;
    const runs = tried(work, options);
    return { system, plain: runFixed(work, options.system, { ...untuned, memoryMib }, options), fast: best(runs, minutes), cheap: best(runs, usd) };
  });
  tables[
    `${name}: smlt for time ${minutes(byTime).toFixed(2)} min $${usd(byTime).toFixed(3)}, for cost ${minutes(byCost).toFixed(2)} min $${usd(byCost).toFixed(3)}; ratios above 1: smlt is better`
  ] = rows.map(({ system, plain, fast, cheap }) => ({
    system,
    'untuned min': minutes(plain).toFixed(2),
    'untuned $': usd(plain).toFixed(3),
    speed: (plain.timeMs / byTime.timeMs).toFixed(2),
    cost: (usd(plain) / usd(byCost)).toFixed(2),
    'tuned for time': fast ? `${minutes(fast.run).toFixed(2)} min (${fast.choice.workers})` : '-',
    'tuned speed': fast ? (fast.run.timeMs / byTime.timeMs).toFixed(2) : '-',
    'tuned for cost': cheap ? `$${usd(cheap.run).toFixed(3)} (${cheap.choice.workers})` : '-',
    'tuned cost': cheap ? (usd(cheap.run) / usd(byCost)).toFixed(2) : '-',
  }));
  return rows;
}

/** The same job on both, each at its cheapest; the machine is there anyway, and so is the Redis node. */
function utilisation() {
  const steady = jobOf({ ...RESNET18, totalSteps: 200 });
  const machine = { system: 'ring', exchange: machineNetwork, workers: machineWorkers(machineTypes['m5.large'], true), memories: [8_192], roundSteps: 1e9 }; // prettier-ignore
  const functions = { system: 'smlt', exchange: { ...exchanges.redis, usdPerHour: 0 }, workers: lambdaWorkers(prices) };
  return usd(best(tried(steady, machine), usd).run) / usd(best(tried(steady, functions), usd).run);
}
