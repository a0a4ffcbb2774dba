import { chargesRequests, noRequests, type StoreRequests } from '../contracts/charged-requests';
import { exchangeKindOf } from '../contracts/exchange';
import { names, type TrackId } from '../contracts/names';
import { Program } from '../contracts/program';
import { RoundPlan } from '../contracts/round';
import { stepTraffic, valueTraffic } from '../contracts/step-traffic';
import { slotCount } from '../training/optimizers';
import type { ObjectStore } from '../storage/object-store';
import { readRecord } from './records';

/** Looks of waits and values in parts come on top of a formula's requests: 9 % in a run that was measured (docs/stores.md). */
const LOOKS_FACTOR = 1.5;
/** Plan, program, graphs, a checkpoint's ranges and the data's shards, as a cold instance reads them; what a turn leaves behind. */
const TURN_REQUESTS: StoreRequests = { puts: 8, gets: 256 };
/** A program, its weights' ranges and a data set's shards. */
const OTHER_REQUESTS: StoreRequests = { puts: 20, gets: 1_000 };

/** The most that an invocation can have asked S3 for in the time it may have run, where neither its answer nor its log came back. */
export type Unheard = (ranMs: number) => Promise<StoreRequests>;

/** Of a function that does not train. */
export const unheardOfOthers =
  ({ uri }: ObjectStore): Unheard =>
  () =>
    Promise.resolve(chargesRequests(uri) ? OTHER_REQUESTS : noRequests);

/** Of a worker's turn: all steps of its round by the formula of docs/synchronisation.md, and a look for the manifest in every `lookMs`. */
export function unheardOfTurn(store: ObjectStore, round: TrackId & { readonly round: number }, worker: number): Unheard {
  return async (ranMs) => {
    const plan = await readRecord(store, RoundPlan, names.plan(round, round.round)).catch(() => undefined);
    // Whoever asks has run something and must not lose its bill for want of a plan.
    if (!plan) return chargesRequests(store.uri) ? OTHER_REQUESTS : noRequests;
    const step = await requestsOfStep(store, plan, worker);
    const times = LOOKS_FACTOR * (plan.last - plan.first);
    const { puts, gets } = chargesRequests(store.uri) ? TURN_REQUESTS : noRequests;
    const looks = chargesRequests(store.uri) ? Math.ceil(ranMs / plan.times.lookMs) : 0;
    return { puts: Math.ceil(puts + times * step.puts), gets: Math.ceil(gets + looks + times * step.gets) };
  };
}

/** What the provider of the exchange charges one worker for in a step. */
async function requestsOfStep(store: ObjectStore, plan: RoundPlan, worker: number): Promise<StoreRequests> {
  const kind = exchangeKindOf(plan.exchangeUri);
  if (kind !== 's3' && kind !== 'hybrid') return noRequests;
  const { topology, groups, cut, recipeBody } = plan;
  const { programDigest, lanes, optimizer, compression, localSteps, clipNorm } = recipeBody;
  const { paramCount, bufferCount, blockElements } = await readRecord(store, Program, names.program(programDigest, 'program.json'));
  const shape = {
    topology,
    groups,
    cut,
    lanes,
    paramCount,
    bufferCount,
    slots: slotCount(optimizer),
    compression,
    localSteps,
    weighs: true,
    counters: 1,
  };
  const clipped = clipNorm === undefined ? shape : { ...shape, clipBlock: blockElements };
  // A hot exchange's lasting one is written to, and read only where something was lost.
  return (kind === 's3' ? stepTraffic(clipped) : valueTraffic(clipped))[worker] ?? noRequests;
}
