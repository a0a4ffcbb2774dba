import type { ComponentSample } from './component';

/** However often something repeats, one place is not known better than this. */
const LEAST_POOLED_NOISE = 0.02;

/** One sample for all that were taken at the same place: fits then grow with places, not with rounds. */
export function pool(samples: readonly ComponentSample[]): ComponentSample[] {
  const groups = new Map<string, ComponentSample[]>();
  for (const sample of samples) {
    const key = [...sample.at, ...sample.features].join(' ');
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].map((group) => (group.length === 1 ? group[0]! : meanOf(group)));
}

/** The geometric mean by weight. One straggler among several moves it little, so it is not doubted any more. */
function meanOf(group: readonly ComponentSample[]): ComponentSample {
  const weights = group.map(({ noise }) => 1 / noise ** 2);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (value: (sample: ComponentSample) => number) => group.reduce((sum, sample, i) => sum + weights[i]! * value(sample), 0) / total;
  return {
    ...group[0]!,
    valueMs: Math.exp(mean(({ valueMs }) => Math.log(Math.max(valueMs, 1e-9)))),
    floorMs: mean(({ floorMs }) => floorMs),
    noise: Math.max(LEAST_POOLED_NOISE, 1 / Math.sqrt(total)),
    isAlone: true,
  };
}
