import { cutOf } from '../../contracts/cut';
import { stepTraffic, valueTraffic, type Traffic } from '../../contracts/step-traffic';
import type { Compression } from '../../contracts/compression';
import type { Topology } from '../../contracts/synchronization';
import type { ExchangeModel } from './world';

/** A stretch of a step in which every worker moves its bytes; the next one begins when all have ended this one. */
export interface Phase {
  readonly bytes: Float64Array;
  /** Before the bytes: requests in turn, and the store's own rate of requests. */
  readonly latencyMs: number;
}
/** One step of n workers: compute, then hand out gradients | add them up and publish | fetch what is new. */
export interface StepPhases {
  /** Each worker's share of the batch. */
  readonly shares: Float64Array;
  /** Empty for one worker: it exchanges nothing. */
  readonly phases: readonly Phase[];
  readonly puts: number;
  readonly gets: number;
}
/** What one worker moves in one phase. */
export interface Move {
  readonly bytes: number;
  readonly puts: number;
  readonly gets: number;
}

/** Requests that one worker keeps in flight. */
const PARALLEL_REQUESTS = 8;

/** @param moves  three phases, each with every worker's bytes and requests */
export function phasesOf(shares: Float64Array, moves: readonly (readonly Move[])[], exchange: ExchangeModel): StepPhases {
  const sum = (part: (move: Move) => number) => moves.reduce((all, phase) => all + phase.reduce((total, move) => total + part(move), 0), 0);
  const phases = moves.map((phase) => {
    const requests = phase.map(({ puts, gets }) => puts + gets);
    const inTurnMs = Math.ceil(Math.max(...requests) / PARALLEL_REQUESTS) * exchange.latencyMs;
    const all = requests.reduce((total, one) => total + one, 0);
    return { bytes: Float64Array.from(phase, ({ bytes }) => bytes), latencyMs: Math.max(inTurnMs, all / exchange.requestsPerMs) };
  });
  return { shares, phases, puts: sum(({ puts }) => puts), gets: sum(({ gets }) => gets) };
}

export interface SmltStep {
  readonly topology: Topology;
  readonly groups?: number | undefined;
  readonly compression?: Compression | undefined;
  readonly lanes: number;
  readonly laneUnit?: number | undefined;
  readonly paramCount: number;
  readonly bufferCount: number;
  /** Floats of optimiser state a parameter. */
  readonly slots: number;
}
/** What a step of smlt moves, exactly (docs/synchronisation.md), by phase. */
export function smltPhases(step: SmltStep, workers: number, exchange: ExchangeModel): StepPhases {
  const { topology, lanes, laneUnit, paramCount } = step;
  const cut = cutOf({ topology, lanes, laneUnit, paramCount, workers });
  const shares = Float64Array.from({ length: workers }, (_, w) => (cut.laneBorders[w + 1]! - cut.laneBorders[w]!) / lanes);
  if (workers === 1) return { shares, phases: [], puts: 0, gets: 0 };
  const shape = { ...step, cut };
  const values = valueTraffic(shape);
  const gradients = stepTraffic(shape).map((all, w) => minus(all, values[w]!));
  const leads = (worker: number) => topology === 'all-reduce-leader' && worker === 0;
  const follows = (worker: number) => topology === 'all-reduce-leader' && worker !== 0;
  return phasesOf(
    shares,
    [
      gradients.map((each, w) => (leads(w) ? nothing : written(each))),
      gradients.map((each, w) => plus(follows(w) ? nothing : read(each), leads(w) ? written(each) : nothing, written(values[w]!))),
      gradients.map((each, w) => plus(follows(w) ? read(each) : nothing, read(values[w]!))),
    ],
    exchange,
  );
}

const nothing: Move = { bytes: 0, puts: 0, gets: 0 };
const written = ({ bytesWritten, puts }: Traffic): Move => ({ bytes: bytesWritten, puts, gets: 0 });
const read = ({ bytesRead, gets }: Traffic): Move => ({ bytes: bytesRead, puts: 0, gets });
const plus = (...moves: readonly Move[]): Move =>
  moves.reduce((a, b) => ({ bytes: a.bytes + b.bytes, puts: a.puts + b.puts, gets: a.gets + b.gets }));
const minus = (a: Traffic, b: Traffic): Traffic => ({
  bytesWritten: a.bytesWritten - b.bytesWritten,
  bytesRead: a.bytesRead - b.bytesRead,
  puts: a.puts - b.puts,
  gets: a.gets - b.gets,
});
