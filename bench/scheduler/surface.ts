// True step times of made-up programs on made-up clouds. They are what the scheduler has to find out, so they do not have
// its form: parts overlap, stragglers are order statistics, bandwidth and threads follow other powers, stores saturate.
import { cutOf, mostLanes } from '../../contracts/cut';
import { stepTraffic } from '../../contracts/step-traffic';
import { uniformStream, normalFrom, type Uniform } from '../../scheduler/random';

/** What each family adds to `base`. Source: the six families of docs/scheduler.md. */
export const families = ['base', 'memory knee', 'store saturation', 'thread limit', 'mixed', 'wild'] as const;
export type Family = (typeof families)[number];

export interface Shape {
  readonly workers: number;
  readonly memoryMib: number;
  readonly laneUnit?: number | undefined;
}
export interface StepTime {
  readonly computeMs: number;
  readonly syncMs: number;
  /** Less than the sum of the two where they overlap. */
  readonly stepMs: number;
}
export interface Surface {
  readonly family: Family;
  readonly exchange: 'redis' | 's3';
  readonly paramCount: number;
  readonly batchSize: number;
  readonly lanes: number;
  /** One sample, forward and backward, on one vCPU. */
  readonly sampleMs: number;
  /** Resident memory of a worker, whatever its size. */
  readonly peakMemoryMib: number;
  readonly coldStartMs: number;
  /** @param samples  samples of the step over all workers; left out: the program's batch */
  step(shape: Shape, samples?: number): StepTime;
  traffic(workers: number, laneUnit?: number): Traffic;
  /** One micro-batch alone on one function: no barrier, no exchange. */
  microBatchMs(memoryMib: number, samples: number): number;
}

const MIB_PER_VCPU = 1_769;
const between = (draw: Uniform, low: number, high: number) => low * (high / low) ** draw();
const evenly = (draw: Uniform, low: number, high: number) => low + (high - low) * draw();

/** Every value of one problem is a function of its family and seed. */
export function surfaceOf(family: Family, seed: number): Surface {
  const draw = uniformStream(seed, families.indexOf(family), 0x5eed);
  const has = (other: Family) => family === other || family === 'mixed';
  const exchange = draw() < 0.5 ? 'redis' : 's3';
  const paramCount = Math.round(between(draw, 3e5, 4e7));
  const batchSize = 2 ** Math.round(evenly(draw, 8, 12));
  const lanes = 256;
  const sampleMs = between(draw, 4_000, 250_000) / batchSize;
  const threads = has('thread limit') ? evenly(draw, 0, 0.35) : evenly(draw, 0.65, 0.97);
  const threadPower = evenly(draw, 0.85, 1);
  const fixedMs = sampleMs * between(draw, 0.5, 8);
  const spread = evenly(draw, 0.03, 0.1);
  const peakMemoryMib = 180 + (16 * paramCount) / 2 ** 20 + (has('memory knee') ? between(draw, 200, 2_500) : between(draw, 40, 250));
  const knee = has('memory knee') ? evenly(draw, 0.5, 2.5) : 0;
  const overlap = evenly(draw, 0, 0.35);
  const bandwidth = evenly(draw, 55_000, 95_000);
  const bandwidthPower = evenly(draw, 0.3, 0.7);
  const storeBytesPerMs = exchange === 's3' ? between(draw, 1e7, 3e7) : between(draw, 0.6e6, 1.5e6);
  const latencyMs = exchange === 's3' ? evenly(draw, 18, 40) : evenly(draw, 0.8, 2);
  const saturatesAt = has('store saturation') ? between(draw, 12, 96) : Infinity;
  const field = family === 'wild' ? randomField(draw) : () => 1;

  const trafficKnown = new Map<string, Traffic>();
  const traffic = (workers: number, laneUnit = 1) => {
    const key = `${workers} ${laneUnit}`;
    const known = trafficKnown.get(key) ?? trafficOf(paramCount, lanes, workers, laneUnit);
    trafficKnown.set(key, known);
    return known;
  };
  const slowestOf = (workers: number) => 1 + spread * expectedMaximum(workers);
  const memoryFactor = (memoryMib: number) => 1 + knee * (Math.max(0, peakMemoryMib / memoryMib - 0.7) / 0.2) ** 2;
  const microBatchMs = (memoryMib: number, samples: number) => {
    const vcpus = Math.min(memoryMib / MIB_PER_VCPU, 6);
    const serial = Math.min(vcpus, 1);
    const speed = (1 - threads) / serial + threads / (vcpus <= 1 ? vcpus : vcpus ** threadPower);
    return (samples * sampleMs * speed + fixedMs / serial) * memoryFactor(memoryMib);
  };
  return {
    family,
    exchange,
    paramCount,
    batchSize,
    lanes,
    sampleMs,
    peakMemoryMib,
    coldStartMs: between(draw, 150, 1_500),
    microBatchMs,
    traffic,
    step({ workers, memoryMib, laneUnit }, stepSamples = batchSize) {
      const shape = field(Math.log2(workers), Math.log2(memoryMib));
      const samples = (stepSamples / lanes) * mostLanes(lanes, workers, laneUnit);
      const computeMs = shape * microBatchMs(memoryMib, samples) * slowestOf(workers);
      const { busiestBytes, totalBytes, requests } = traffic(workers, laneUnit);
      const own = busiestBytes / (bandwidth * Math.min(1, memoryMib / MIB_PER_VCPU) ** bandwidthPower);
      const store = totalBytes / storeBytesPerMs;
      const requestsMs = (requests / 8) * latencyMs;
      // The slower of worker and store sets the pace, the other one hides behind it but for a fifth.
      const load = 1 + (workers / saturatesAt) ** 1.7;
      const syncMs = shape * (Math.max(own, store) + 0.2 * Math.min(own, store) + requestsMs + 2 * latencyMs) * load;
      return { computeMs, syncMs, stepMs: computeMs + syncMs - overlap * Math.min(computeMs, syncMs) };
    },
  };
}

export interface Traffic {
  readonly busiestBytes: number;
  readonly totalBytes: number;
  readonly requests: number;
  readonly puts: number;
  readonly gets: number;
}
/** What the protocol moves in a step, exactly: the one thing about a surface that nobody has to guess. */
function trafficOf(paramCount: number, lanes: number, workers: number, laneUnit: number): Traffic {
  const cut = cutOf({ topology: 'scatter-reduce', lanes, laneUnit, paramCount, workers });
  const all = stepTraffic({ topology: 'scatter-reduce', cut, lanes, paramCount, bufferCount: 0, slots: 2 });
  const total = (value: (each: (typeof all)[number]) => number) => all.reduce((sum, each) => sum + value(each), 0);
  return {
    busiestBytes: Math.max(...all.map(({ bytesWritten, bytesRead }) => bytesWritten + bytesRead)),
    totalBytes: total(({ bytesWritten, bytesRead }) => bytesWritten + bytesRead),
    requests: Math.max(...all.map(({ puts, gets }) => puts + gets)),
    puts: total(({ puts }) => puts),
    gets: total(({ gets }) => gets),
  };
}

/** Expected largest of n standard normal values. Source: Blom 1958 (n > 1), within 1 %. */
function expectedMaximum(count: number): number {
  return count <= 1 ? 0 : inverseNormal((count - 0.375) / (count + 0.25));
}

/** Source: Abramowitz and Stegun 1964, 26.2.23; absolute error below 4.5e-4. */
function inverseNormal(probability: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - probability));
  return t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3);
}

/** Smooth bumps of about 25 % and two cliffs, in the logarithms of workers and memory. */
function randomField(draw: Uniform): (workers: number, memory: number) => number {
  const bumps = Array.from({ length: 6 }, () => ({
    workers: 8 * draw(),
    memory: 9 + 4.3 * draw(),
    height: 0.25 * normalFrom(draw),
    width: evenly(draw, 1, 2.2),
  }));
  const cliffs = [
    { at: evenly(draw, 3, 7), height: evenly(draw, 1, 1.5), axis: 'workers' },
    { at: evenly(draw, 10, 12.5), height: evenly(draw, 0.8, 1.3), axis: 'memory' },
  ] as const;
  return (workers, memory) => {
    const smooth = bumps.reduce(
      (sum, bump) => sum + bump.height * Math.exp(-((workers - bump.workers) ** 2 + (memory - bump.memory) ** 2) / bump.width ** 2),
      0,
    );
    const steps = cliffs.reduce((product, cliff) => product * ((cliff.axis === 'workers' ? workers : memory) > cliff.at ? cliff.height : 1), 1);
    return Math.exp(smooth) * steps;
  };
}
