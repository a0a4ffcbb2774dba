import { exchangeKindOf } from '../contracts/exchange';
import { names } from '../contracts/names';
import { Learnt, LearntHere, type Observation, type Relative } from '../contracts/scheduling';
import { compactObservations } from '../scheduler';
import { sha256Hex } from '../storage/digest';
import type { EngineDependencies } from './dependencies';
import { encodeRecord, findRecord } from './records';

const PLACE_DIGITS = 16;
/** Programs that a place is remembered by: the newest say most of it. */
const KEPT_PROGRAMS = 3;

/** What runs have seen of a program where it ran: first choices of its next run, and of others'. */
export function createLearntActivities(engine: EngineDependencies) {
  const { store } = engine;
  return {
    /** Keeps what a run has seen of its program for the next run's first choices. Of two at once, one is kept. */
    async keepLearnt({ run, seen }: { run: string; seen: Relative }): Promise<void> {
      const observations = compactObservations(seen.observations);
      if (observations.length === 0) return;
      const { programDigest } = seen;
      const place = placeOf(engine);
      const learnt: Learnt = { formatVersion: 1, run, observations };
      await store.replace(names.learnt(programDigest, place), encodeRecord(learnt));
      const here = await findRecord(store, LearntHere, names.learntHere(place));
      const others = here?.programs.filter((other) => other.programDigest !== programDigest) ?? [];
      const programs = [...others, { ...seen, observations }].slice(-KEPT_PROGRAMS);
      await store.replace(names.learntHere(place), encodeRecord({ formatVersion: 1, programs }));
    },
  };
}

/** Times hold where they were seen: the same platform, as many cores, the same kinds of exchange. */
function placeOf({ platform, exchanges }: EngineDependencies): string {
  const { prices, limits } = platform;
  const exchange = exchanges.map(({ uri }) => exchangeKindOf(uri)).join('+');
  const place = { prices, totalCores: Number.isFinite(limits.totalCores) ? limits.totalCores : null, exchange };
  return sha256Hex(encodeRecord(place)).slice(0, PLACE_DIGITS);
}

/** What was seen where this run runs before it: of its program, or, where that is new, of others. */
export async function learntBefore(engine: EngineDependencies, programDigest: string): Promise<{ earlier: Observation[]; related: Relative[] }> {
  const place = placeOf(engine);
  const learnt = await findRecord(engine.store, Learnt, names.learnt(programDigest, place));
  if (learnt) return { earlier: learnt.observations, related: [] };
  const here = await findRecord(engine.store, LearntHere, names.learntHere(place));
  return { earlier: [], related: here?.programs ?? [] };
}
