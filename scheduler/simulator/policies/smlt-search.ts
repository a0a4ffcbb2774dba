import { gaussianProcess } from '../../model/matern';
import { uniformStream } from '../../random';
import type { Policy } from '../run';
import { choicesOf, decided, Meter, useOf, type Choice, type Options } from './choice';

export interface SmltSearch extends Options {
  readonly probeSteps: number;
  readonly roundSteps: number;
  readonly seed: number;
}
/** Source: SMLT's code: two random looks, three guided ones, upper confidence bound with kappa 5. */
const RANDOM_PROBES = 2;
const PROBES = 5;
const KAPPA = 5;
/** A broken limit counts this often in the logarithm. SMLT says nothing about limits in its search. */
const PENALTY = 5;

/** SMLT as published: a Gaussian process on linear axes, five looks, then the best seen, fixed; all over again at another batch size. */
export function smltSearch({ probeSteps, roundSteps, seed, ...options }: SmltSearch): Policy {
  const { goal, workers, memoriesMib } = options;
  const choices = choicesOf(options);
  const places = choices.map(({ workers: count, memoryMib }) => [count / Math.max(...workers), memoryMib / Math.max(...memoriesMib)]);
  const draw = uniformStream(seed, 17);
  const meter = new Meter();
  let seen: { index: number; badness: number }[] = [];
  let batchSize: number | undefined;
  let looking: number | undefined;
  return (request) => {
    if (looking !== undefined) {
      const cost = meter.read(request)!;
      const value = Number.isFinite(cost.ms) ? Math.log(goal.minimize === 'time' ? cost.ms : cost.usd) : 20;
      seen.push({ index: looking, badness: value + PENALTY * Math.max(0, Math.log(Math.min(useOf(cost, request, goal), 1e3))) });
      looking = undefined;
    }
    if (batchSize !== request.batchSize) [batchSize, seen] = [request.batchSize, []];
    const start = (kind: 'probe' | 'run', index: number, steps: number, reason: string) => {
      const choice: Choice = choices[index]!;
      if (kind === 'probe') looking = index;
      meter.begin(choice, request);
      return decided(kind, choice, Math.min(steps, request.remainingSteps), reason);
    };
    if (seen.length >= PROBES) return start('run', seen.reduce((a, b) => (b.badness < a.badness ? b : a)).index, roundSteps, 'best of five looks');
    const unseen = choices.map((_, index) => index).filter((index) => seen.every((each) => each.index !== index));
    const next = seen.length < RANDOM_PROBES ? unseen[Math.floor(draw() * unseen.length)]! : mostPromising(places, seen, unseen);
    return start('probe', next, probeSteps, `look ${seen.length + 1} of ${PROBES}`);
  };
}

function mostPromising(
  places: readonly (readonly number[])[],
  seen: readonly { index: number; badness: number }[],
  unseen: readonly number[],
): number {
  const mean = seen.reduce((sum, { badness }) => sum + badness, 0) / seen.length;
  const spread = Math.sqrt(seen.reduce((sum, { badness }) => sum + (badness - mean) ** 2, 0) / seen.length) || 1;
  const points = seen.map(({ index, badness }) => ({ at: places[index]!, value: (badness - mean) / spread, noise: 0.05 }));
  const processes = [0.2, 0.4, 0.8, 1.6].map((length) => gaussianProcess(points, 1, length));
  const process = processes.reduce((a, b) => (b.logEvidence > a.logEvidence ? b : a));
  const bound = (index: number) => {
    const { mean: expected, variance } = process.predict(places[index]!);
    return expected - KAPPA * Math.sqrt(variance);
  };
  return unseen.map((index) => ({ index, bound: bound(index) })).reduce((a, b) => (b.bound < a.bound ? b : a)).index;
}
