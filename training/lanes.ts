import type { Span } from '../contracts/names';
import { batchPhases, type Batches } from '../contracts/batch-size';
import { SmltError } from '../contracts/errors';
import { bitsAt, permutation, purposes, streamOf } from './random';

/*
 * A lane is a virtual worker: a fixed slice of every batch and of the data set. What it computes at a step follows from
 * (seed, step, lane) alone, never from who drives it (docs/lanes.md).
 */

const share = (total: number, parts: number, part: number) => Math.floor(total / parts) + (part < total % parts ? 1 : 0);

/** How many samples each lane takes of a batch: they differ by at most one, the larger ones first. */
export function laneBatches(batchSize: number, lanes: number): number[] {
  if (batchSize < lanes)
    throw new SmltError(
      'InvalidSpec',
      `batch of ${batchSize} for ${lanes} lanes: expected at least one sample a lane; raise batchSize or lower lanes`,
    );
  return Array.from({ length: lanes }, (_, lane) => share(batchSize, lanes, lane));
}

/** Micro-batches that a lane computes its share of a batch in, in order: they differ by at most one sample, the larger ones first. */
export const microBatchesOf = (batch: number, parts: number): number[] => Array.from({ length: parts }, (_, part) => share(batch, parts, part));

/** The micro-batch sizes that a training's lanes will ever see. */
export const distinctLaneBatches = (batches: Batches, lanes: number, parts = 1): number[] => [
  ...new Set(
    batchPhases(batches)
      .flatMap(({ batchSize }) => laneBatches(batchSize, lanes))
      .flatMap((batch) => microBatchesOf(batch, parts)),
  ),
];

/** How many samples a lane has drawn before a step: where the step's own begin. */
export function lanePosition(batches: Batches, lanes: number, lane: number, step: number): number {
  return batchPhases(batches).reduce(
    (sum, { batchSize, firstStep, endStep }) => sum + Math.max(0, Math.min(step, endStep) - firstStep) * share(batchSize, lanes, lane),
    0,
  );
}

/** The samples of the data set that each lane draws from: contiguous, in lane order, sizes differ by at most one. */
export function lanePartitions(samples: number, lanes: number): Span[] {
  if (samples < lanes)
    throw new SmltError('BadData', `data set of ${samples} samples for ${lanes} lanes: expected at least one sample a lane; lower lanes or add data`);
  const partitions: Span[] = [];
  for (let lane = 0, start = 0; lane < lanes; lane++) {
    const end = start + share(samples, lanes, lane);
    partitions.push({ start, end });
    start = end;
  }
  return partitions;
}

/** Shuffled epochs are made once and kept while there is room: a step looks at one or two of each lane's. */
const CACHED_ELEMENTS = 8_000_000;
const epochs = new Map<string, Int32Array>();
let cachedElements = 0;

function shuffledEpoch(seed: number, epoch: number, lane: number, length: number): Int32Array {
  const key = `${seed}/${epoch}/${lane}/${length}`;
  let order = epochs.get(key);
  if (order !== undefined) return order;
  order = permutation(length, purposes.shuffle, seed, epoch, lane);
  cachedElements += length;
  for (const [oldest, { length: freed }] of epochs) {
    if (cachedElements <= CACHED_ELEMENTS) break;
    epochs.delete(oldest);
    cachedElements -= freed;
  }
  epochs.set(key, order);
  return order;
}

export interface LaneDraw {
  readonly seed: number;
  readonly lane: number;
  readonly partition: Span;
  /** The lane's micro-batch, from `laneBatches`. */
  readonly batch: number;
  /** From `lanePosition`: the batch times the step where all batches are of one size. */
  readonly position: number;
}
/**
 * Data-set indices of a lane's micro-batch: positions [position, position + batch) of the endless concatenation of
 * the lane's shuffled epochs. So an epoch's end may fall inside a micro-batch, and no sample is ever left out.
 */
export function laneSamples({ seed, lane, partition, batch, position: start }: LaneDraw): Int32Array {
  const length = partition.end - partition.start;
  const samples = new Int32Array(batch);
  let position = start;
  for (let i = 0; i < batch;) {
    const epoch = Math.floor(position / length);
    const order = shuffledEpoch(seed, epoch, lane, length);
    for (let at = position - epoch * length; at < length && i < batch; at++, i++, position++) samples[i] = partition.start + order[at]!;
  }
  return samples;
}

export interface NoiseDraw {
  readonly seed: number;
  readonly step: number;
  readonly lane: number;
  /** Number of the dropout node in the program. */
  readonly node: number;
  readonly samples: number;
  /** Samples of the lane's share of the batch before these; left out: none. */
  readonly firstSample?: number;
  readonly elementsPerSample: number;
  readonly rate: number;
}
/** A dropout mask for a lane's micro-batch, sample after sample: 0 with probability `rate`, else 1 / (1 - rate). */
export function noiseBits(draw: NoiseDraw, into = new Float32Array(draw.samples * draw.elementsPerSample)): Float32Array {
  const stream = streamOf(purposes.noise, draw.seed, draw.step, draw.lane, draw.node);
  const dropped = Math.floor(draw.rate * 0x1_0000_0000);
  const values = Float32Array.of(1 / (1 - draw.rate), 0); // by index, since a branch on random bits is guessed wrong half of the time
  const length = draw.samples * draw.elementsPerSample;
  const first = (draw.firstSample ?? 0) * draw.elementsPerSample;
  for (let i = 0; i < length; i++) into[i] = values[Number(bitsAt(stream, first + i) < dropped)]!;
  return into;
}
