import { cutOf } from '../../contracts/cut';
import type { ExchangeKind } from '../../contracts/exchange';
import { barriersOf, stepTraffic, valueTraffic, type StepShape } from '../../contracts/step-traffic';
import { WORKER_BYTES_PER_MS } from '../constants';
import type { Workload } from './step-workload';

/** What a step's traffic depends on besides the number of workers. */
export type Exchanged = Pick<
  Workload,
  'exchange' | 'shards' | 'topology' | 'groups' | 'compression' | 'localSteps' | 'lanes' | 'laneUnit' | 'paramCount' | 'bufferCount'
>;

/** Latency of one exchange request and the store's own bandwidth. Source: rules, section 2; files: one step's barrier on tmpfs, about 1 ms. */
const stores: Record<Exclude<ExchangeKind, 'hybrid'>, { latencyMs: number; storeBytesPerMs: number; workerBytesPerMs: number }> = {
  files: { latencyMs: 1, storeBytesPerMs: 2e6, workerBytesPerMs: 4e5 },
  redis: { latencyMs: 1.2, storeBytesPerMs: 1e6, workerBytesPerMs: WORKER_BYTES_PER_MS },
  s3: { latencyMs: 25, storeBytesPerMs: 2e7, workerBytesPerMs: WORKER_BYTES_PER_MS },
};
const LONE_LATENCY_MS = 1.2;
const PARALLEL_REQUESTS = 8;
/** Adam's two moments, the most that an optimiser here keeps. */
const STATE_SLOTS = 2;
/**
 * Groups are worth a barrier more only where they save this share of the synchronisation, among so many workers. On files a
 * request is a system call, and they cost more CPU than they save (docs/synchronisation.md).
 */
const GROUP_MIN_GAIN = 0.1;
const GROUP_MIN_WORKERS = 16;
/** Before anything is observed, the weights of the terms below. Source: rules, section 3, step 2. */
export const SYNC_WEIGHTS = [1, 0.5, 1, 1, 0.1];
/** Where a store's own queue begins to show, if it does. */
const SATURATION_WORKERS = 64;

export interface SyncTraffic {
  /** Written and read, of the worker that moves most: the others wait for it. */
  readonly busiestBytes: number;
  /** Of all workers: what the store moves. */
  readonly totalBytes: number;
  /** Of all workers. */
  readonly puts: number;
  readonly gets: number;
  /** Puts and gets of the worker that makes most of them. */
  readonly requests: number;
  /** Waits in a row for somebody else's value. */
  readonly barriers: number;
  readonly workers: number;
  /** Groups that add gradients up before owners do; undefined where none do. */
  readonly groups: number | undefined;
  /** What a hybrid exchange writes to its lasting store as well: parameters and state. Of all workers, and of the busiest. */
  readonly lasting: { readonly puts: number; readonly totalBytes: number; readonly busiestPuts: number; readonly busiestBytes: number };
}

/**
 * What a step moves through the exchange, exactly as functions do it (docs/synchronisation.md), for Adam's state. Where the
 * job leaves the groups open, in those that promise the shortest synchronisation: values do not depend on them, so they are
 * no decision of their own, but follow from the number of workers.
 */
export function trafficOf(exchanged: Exchanged, atWorkers: number): SyncTraffic {
  const { exchange, shards = 1, topology, groups, compression, localSteps, lanes, paramCount, bufferCount } = exchanged;
  const laneUnit = Math.min(exchanged.laneUnit ?? 1, lanes); // an observation may be of a job with more lanes
  const workers = Math.min(atWorkers, lanes / laneUnit);
  const key = [exchange, shards, topology, groups, JSON.stringify([compression, localSteps]), lanes, laneUnit, paramCount, bufferCount, workers].join(
    ' ',
  );
  const known = trafficKnown.get(key);
  if (known !== undefined) return known;
  const cut = cutOf({ topology, lanes, laneUnit, paramCount, workers });
  const within = (count: number | undefined) => {
    const density = densityOf(compression, Math.ceil(lanes / (count ?? workers)));
    return summed({ topology, groups: count, cut, lanes, paramCount, bufferCount, slots: STATE_SLOTS, compression, localSteps, density }, count);
  };
  const plain = within(groups);
  const isOpen = groups === undefined && topology === 'scatter-reduce' && exchange !== 'files' && workers >= GROUP_MIN_WORKERS;
  const traffic = isOpen ? shortest({ exchange, shards }, plain, powersBelow(workers).map(within)) : plain;
  if (trafficKnown.size >= MOST_KNOWN) trafficKnown.clear();
  trafficKnown.set(key, traffic);
  return traffic;
}
/**
 * Share of elements that a sum over so many lanes holds where each sends its largest ones, as if they were drawn: lanes agree
 * on some, so it is at most that. What a significance filter sends is not known before.
 */
function densityOf(compression: Exchanged['compression'], lanes: number): number | undefined {
  return compression?.kind === 'top-k' ? 1 - (1 - compression.density) ** lanes : undefined;
}
/** A pure function's answers. */
const trafficKnown = new Map<string, SyncTraffic>();
const MOST_KNOWN = 1_024;

const powersBelow = (workers: number): number[] => Array.from({ length: Math.ceil(Math.log2(workers)) - 1 }, (_, i) => 2 ** (i + 1));

function summed(shape: StepShape, groups: number | undefined): SyncTraffic {
  const byWorker = stepTraffic(shape);
  const values = valueTraffic(shape);
  const bytes = byWorker.map(({ bytesWritten, bytesRead }) => bytesWritten + bytesRead);
  return {
    busiestBytes: Math.max(...bytes),
    totalBytes: bytes.reduce((sum, one) => sum + one, 0),
    puts: byWorker.reduce((sum, { puts }) => sum + puts, 0),
    gets: byWorker.reduce((sum, { gets }) => sum + gets, 0),
    requests: Math.max(...byWorker.map(({ puts, gets }) => puts + gets)),
    barriers: barriersOf(shape),
    workers: byWorker.length,
    groups,
    lasting: {
      puts: values.reduce((sum, { puts }) => sum + puts, 0),
      totalBytes: values.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
      busiestPuts: Math.max(...values.map(({ puts }) => puts)),
      busiestBytes: Math.max(...values.map(({ bytesWritten }) => bytesWritten)),
    },
  };
}

type Store = Pick<Exchanged, 'exchange' | 'shards'>;

function shortest(exchange: Store, plain: SyncTraffic, grouped: readonly SyncTraffic[]): SyncTraffic {
  const guessMs = (traffic: SyncTraffic) => termsOf(exchange, traffic, 1).reduce((sum, term, i) => sum + SYNC_WEIGHTS[i]! * term, 0);
  const best = grouped.reduce((a, b) => (guessMs(b) < guessMs(a) ? b : a));
  return guessMs(best) < (1 - GROUP_MIN_GAIN) * guessMs(plain) ? best : plain;
}

/** Own network, the store's, requests in turn, barriers, a store that saturates: what synchronisation is a weighted sum of, ms. */
function termsOf({ exchange, shards = 1 }: Store, traffic: SyncTraffic, bandwidthShare: number): number[] {
  const { latencyMs, storeBytesPerMs, workerBytesPerMs } = stores[exchange === 'hybrid' ? 'redis' : exchange];
  // Keys are spread evenly over the servers, which work side by side.
  const storeMs = traffic.totalBytes / (storeBytesPerMs * shards);
  const requestsMs = (traffic.requests / PARALLEL_REQUESTS) * latencyMs;
  // Who moves nothing waits for nobody: what a step costs beside computing is then the same over every store.
  const barriersMs = Math.max(2, traffic.barriers) * (traffic.requests === 0 ? Math.min(latencyMs, LONE_LATENCY_MS) : latencyMs);
  const saturatedMs = (traffic.workers / (SATURATION_WORKERS * shards)) * (storeMs + requestsMs);
  const terms = [traffic.busiestBytes / (workerBytesPerMs * bandwidthShare), storeMs, requestsMs, barriersMs, saturatedMs];
  if (exchange !== 'hybrid' || traffic.workers === 1) return terms;
  // Whoever publishes waits for the lasting copy too; nobody else does.
  const { totalBytes, busiestPuts, busiestBytes } = traffic.lasting;
  const { s3 } = stores;
  const copy = [
    ...[busiestBytes / (s3.workerBytesPerMs * bandwidthShare), totalBytes / s3.storeBytesPerMs],
    ...[(busiestPuts / PARALLEL_REQUESTS) * s3.latencyMs, s3.latencyMs, 0],
  ];
  return terms.map((term, i) => term + copy[i]!);
}
/** @param bandwidthShare  of the network of a function with one vCPU */
export const syncTerms = (exchanged: Exchanged, workers: number, bandwidthShare: number): number[] =>
  termsOf(exchanged, trafficOf(exchanged, workers), bandwidthShare);

/** The groups in which a round of so many workers should add up; undefined for none. */
export const groupsFor = (exchanged: Exchanged, workers: number): number | undefined => trafficOf(exchanged, workers).groups;
