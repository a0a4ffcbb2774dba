import { Observation, type StepParts } from '../contracts/scheduling';
import { parseWith } from '../contracts/job';
import { followDrifts } from './drift';
import { settingKey } from './setting';

/** Carried state stays below this whatever happens. */
const MOST_CHARACTERS = 16_000;
/** The newest rounds stay whole: drift is seen in them. */
const KEPT_WHOLE = 12;

export const parseObservations = (list: readonly unknown[]): Observation[] =>
  list.map((entry, i) => parseWith(Observation, entry, `observation ${i}`));

/** Keeps what a later decision needs in at most 16 KB: the newest rounds whole, older ones merged by allocation. */
export function compactObservations(list: readonly unknown[]): Observation[] {
  const { observations } = followDrifts(parseObservations(list).map(rounded));
  for (let whole = KEPT_WHOLE; ; whole -= 1) {
    const kept = compact(observations, whole);
    if (whole === 0) return kept.slice(-40);
    if (JSON.stringify(kept).length <= MOST_CHARACTERS) return kept;
  }
}

function compact(observations: readonly Observation[], whole: number): Observation[] {
  const border = Math.max(0, observations.length - whole);
  const merged = new Map<string, Observation>();
  for (const observation of observations.slice(0, border)) {
    const { cold, movedSince } = observation;
    // Means across a drift would speak of no time at all.
    const key = `${settingKey(observation)}${cold ? ' cold' : ''} ${movedSince?.compute} ${movedSince?.sync}`;
    const before = merged.get(key);
    merged.delete(key); // the newest comes last
    merged.set(key, before === undefined ? observation : merge(before, observation));
  }
  return [...[...merged.values()].slice(-(KEPT_WHOLE + 12)), ...observations.slice(border)];
}

/** One observation for two of the same allocation: means a round, weighted by the rounds behind them. */
function merge(a: Observation, b: Observation): Observation {
  const count = a.merged + b.merged;
  const mean = (x: number, y: number) => significant((x * a.merged + y * b.merged) / count);
  return {
    allocation: { ...b.allocation, steps: Math.max(1, Math.round(mean(a.allocation.steps, b.allocation.steps))) },
    round: b.round,
    ...(b.batchSize === undefined ? {} : { batchSize: b.batchSize }),
    ...(b.compression === undefined ? {} : { compression: b.compression }),
    steps: Math.round(mean(a.steps, b.steps)),
    wallMs: mean(a.wallMs, b.wallMs),
    stepMs: mean(a.stepMs, b.stepMs),
    ...(a.longestStepMs !== undefined && b.longestStepMs !== undefined && { longestStepMs: mean(a.longestStepMs, b.longestStepMs) }),
    ...(a.parts && b.parts ? { parts: mapParts(a.parts, (name, value) => mean(value, b.parts![name])) } : {}),
    initMs: mean(a.initMs, b.initMs),
    orchestrationMs: mean(a.orchestrationMs, b.orchestrationMs),
    billedNanoUsd: Math.round(mean(a.billedNanoUsd, b.billedNanoUsd)),
    peakRssMib: Math.max(a.peakRssMib, b.peakRssMib),
    cold: b.cold,
    failures: { outOfMemory: a.failures.outOfMemory + b.failures.outOfMemory, timedOut: a.failures.timedOut + b.failures.timedOut },
    merged: count,
    ...(b.movedSince && { movedSince: b.movedSince }),
  };
}

/** Four significant digits: finer than any measurement here. */
const significant = (value: number) => Number(value.toPrecision(4));
function rounded(observation: Observation): Observation {
  const { parts } = observation;
  return {
    ...observation,
    wallMs: significant(observation.wallMs),
    stepMs: significant(observation.stepMs),
    ...(observation.longestStepMs !== undefined && { longestStepMs: significant(observation.longestStepMs) }),
    ...(parts ? { parts: mapParts(parts, (_, value) => significant(value)) } : {}),
    initMs: significant(observation.initMs),
    orchestrationMs: significant(observation.orchestrationMs),
    peakRssMib: significant(observation.peakRssMib),
  };
}

const mapParts = (parts: StepParts, change: (name: keyof StepParts, value: number) => number): StepParts => ({
  computeMs: change('computeMs', parts.computeMs),
  uploadMs: change('uploadMs', parts.uploadMs),
  waitMs: change('waitMs', parts.waitMs),
  downloadMs: change('downloadMs', parts.downloadMs),
  reduceMs: change('reduceMs', parts.reduceMs),
  otherMs: change('otherMs', parts.otherMs),
});
