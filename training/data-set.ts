import type { DataSetManifest } from '../contracts/data-set';
import { SmltError } from '../contracts/errors';
import type { Span } from '../contracts/names';
import { permutation, purposes } from './random';
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from './safetensors';

/*
 * A data set is shuffled once when it is made, then cut into safetensors shards: `x` float32 [n, ...featureShape], and `y`,
 * int64 [n] labels or float32 [n, width] values. Everything is checked here, so that no NaN ever reaches a gradient.
 */

export interface Samples {
  readonly features: Float32Array;
  /** Labels (`class`), or values, sample after sample. */
  readonly targets: Float32Array | Int32Array;
}

const product = (shape: readonly number[]) => shape.reduce((size, axis) => size * axis, 1);
const bad = (message: string, options?: ErrorOptions) => new SmltError('BadData', message, options);
const shapeText = (shape: readonly number[]) => `[${shape.join(', ')}]`;

/** Reads and checks one shard. @throws {SmltError} `BadData` naming the shard and the sample */
export function shardTensors(bytes: Uint8Array, manifest: DataSetManifest, shardIndex: number): Samples {
  const shard = manifest.shards[shardIndex];
  if (shard === undefined) throw bad(`shard ${shardIndex}: the manifest lists ${manifest.shards.length}`);
  const where = `shard ${shardIndex} (${shard.file})`;
  let tensors: ReadonlyMap<string, SafeTensor>;
  try {
    ({ tensors } = decodeSafetensors(bytes));
  } catch (cause) {
    throw bad(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const { target, featureShape } = manifest;
  const features = take(tensors, 'x', 'F32', [shard.samples, ...featureShape], where).data as Float32Array;
  checkFinite(features, product(featureShape), where, 'feature');
  if (target.kind === 'values') {
    const values = take(tensors, 'y', 'F32', [shard.samples, target.width], where).data as Float32Array;
    checkFinite(values, target.width, where, 'target');
    return { features, targets: values };
  }
  const labels = take(tensors, 'y', 'I64', [shard.samples], where).data as BigInt64Array;
  const targets = new Int32Array(labels.length);
  const classes = BigInt(target.classes);
  labels.forEach((label, sample) => {
    if (label < 0n || label >= classes) throw bad(`${where}, sample ${sample}: label ${label}: expected 0 to ${target.classes - 1}`);
    targets[sample] = Number(label);
  });
  return { features, targets };
}

function take(tensors: ReadonlyMap<string, SafeTensor>, name: string, dtype: string, shape: readonly number[], where: string): SafeTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined)
    throw bad(`${where}: tensor ${name} is missing; expected ${dtype} ${shapeText(shape)}, found ${[...tensors.keys()].join(', ') || 'none'}`);
  if (tensor.dtype !== dtype || tensor.shape.length !== shape.length || tensor.shape.some((axis, i) => axis !== shape[i]))
    throw bad(`${where}: tensor ${name}: expected ${dtype} ${shapeText(shape)}, got ${tensor.dtype} ${shapeText(tensor.shape)}`);
  return tensor;
}

function checkFinite(values: Float32Array, perSample: number, where: string, what: string): void {
  for (let i = 0; i < values.length; i++)
    if (!Number.isFinite(values[i]!))
      throw bad(`${where}, sample ${Math.floor(i / perSample)}: ${what} ${i % perSample} is ${values[i]}: expected a finite number`);
}

/** A shard that holds some of the wanted samples. */
export interface ShardPart {
  readonly shard: number;
  readonly file: string;
  readonly sha256: string;
  /** All samples of the shard, numbered in the data set. */
  readonly samples: Span;
  /** Those of them that are wanted, numbered in the data set. */
  readonly wanted: Span;
}
/** The shards that hold samples [start, end) of the data set, in order. @throws {SmltError} `BadData` when it is smaller */
export function shardsFor(manifest: DataSetManifest, span: Span): ShardPart[] {
  const listed = manifest.shards.reduce((sum, { samples }) => sum + samples, 0);
  if (listed !== manifest.samples) throw bad(`manifest.json: its shards hold ${listed} samples, expected ${manifest.samples}`);
  if (span.start < 0 || span.end > manifest.samples || span.start > span.end)
    throw bad(`samples ${span.start}-${span.end}: the data set has ${manifest.samples}`);
  const parts: ShardPart[] = [];
  let start = 0;
  manifest.shards.forEach(({ file, sha256, samples }, shard) => {
    const end = start + samples;
    const wanted = { start: Math.max(start, span.start), end: Math.min(end, span.end) };
    if (wanted.start < wanted.end) parts.push({ shard, file, sha256, samples: { start, end }, wanted });
    start = end;
  });
  return parts;
}

export interface RawDataSet {
  readonly features: Float32Array;
  /** Shape of one sample, without the sample axis. */
  readonly featureShape: readonly number[];
  /** Labels 0..classes-1 (`class`), or values, sample after sample (`values`). */
  readonly targets: ArrayLike<number>;
  readonly kind: 'class' | 'values';
  readonly classes?: number | undefined;
  readonly seed: number;
  readonly samplesPerShard: number;
  /** How each row of features `[width]` falls into named ones, in the row's order. */
  readonly named?: DataSetManifest['features'];
}
export interface PackedDataSet {
  readonly manifest: Omit<DataSetManifest, 'shards' | 'sha256'>;
  readonly shards: readonly { readonly file: string; readonly samples: number; readonly bytes: Uint8Array }[];
  /** The samples in their final order, for the data set's digest. */
  readonly content: Samples;
}

/** Checks, shuffles and cuts a data set; `finishManifest` adds the digests. @throws {SmltError} `BadData` */
export function packDataSet(raw: RawDataSet): PackedDataSet {
  const { features, targets, kind, classes = 0, samplesPerShard } = raw;
  const featureShape = [...raw.featureShape];
  const perSample = product(featureShape);
  if (perSample < 1 || !Number.isInteger(perSample)) throw bad(`feature shape ${shapeText(featureShape)}: expected whole numbers from 1`);
  const samples = features.length / perSample;
  if (samples === 0) throw bad('the data set is empty: expected at least one sample');
  if (!Number.isInteger(samples))
    throw bad(`${features.length} features: expected a multiple of ${perSample}, the size of one sample ${shapeText(featureShape)}`);
  if (!Number.isInteger(samplesPerShard) || samplesPerShard < 1) throw bad(`samplesPerShard ${samplesPerShard}: expected a whole number from 1`);
  const width = targets.length / samples;
  if (!Number.isInteger(width) || width < 1 || (kind === 'class' && width !== 1))
    throw bad(
      `${targets.length} targets for ${samples} samples: expected ${kind === 'class' ? 'one label a sample' : 'the same number for each sample'}`,
    );
  checkFinite(features, perSample, 'features', 'feature');
  if (kind === 'class') checkLabels(targets, classes);

  const order = permutation(samples, purposes.dataSet, raw.seed);
  const content: Samples = {
    features: new Float32Array(features.length),
    targets: kind === 'class' ? new Int32Array(samples) : new Float32Array(targets.length),
  };
  order.forEach((from, to) => {
    content.features.set(features.subarray(from * perSample, (from + 1) * perSample), to * perSample);
    for (let i = 0; i < width; i++) content.targets[to * width + i] = targets[from * width + i]!;
  });
  if (content.targets instanceof Float32Array) checkFinite(content.targets, width, 'targets', 'target');

  const shards = [];
  const count = Math.ceil(samples / samplesPerShard);
  for (let index = 0; index < count; index++) {
    const start = index * samplesPerShard;
    const end = Math.min(samples, start + samplesPerShard);
    const x = content.features.subarray(start * perSample, end * perSample);
    const y = content.targets.subarray(start * width, end * width);
    shards.push({
      file: `shard-${String(index).padStart(5, '0')}.safetensors`,
      samples: end - start,
      bytes: encodeSafetensors([
        { name: 'x', dtype: 'F32', shape: [end - start, ...featureShape], data: x },
        y instanceof Float32Array
          ? { name: 'y', dtype: 'F32', shape: [end - start, width], data: y }
          : { name: 'y', dtype: 'I64', shape: [end - start], data: BigInt64Array.from(y, BigInt) },
      ]),
    });
  }
  const target = kind === 'class' ? ({ kind, classes } as const) : ({ kind, width } as const);
  return { manifest: { formatVersion: 1, samples, featureShape, ...(raw.named && { features: raw.named }), target }, shards, content };
}

function checkLabels(labels: ArrayLike<number>, classes: number): void {
  if (!Number.isInteger(classes) || classes < 2) throw bad(`${classes} classes: expected at least 2`);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw bad(`sample ${i}: label ${label}: expected a whole number from 0 to ${classes - 1}`);
  }
}

/** Samples that are hashed together: the data set's digest does not depend on how it was cut into shards. */
const DIGEST_SAMPLES = 1_024;

/**
 * The manifest with its digests. The data set's own is SHA-256 over a line of JSON (`samples`, `featureShape`, `features` where they are named, `target`)
 * and one line for each 1,024 samples: the SHA-256 of their features and their targets (labels as int32), little-endian.
 * @param sha256Hex  made by the caller: pure rooms have no crypto
 */
export function finishManifest(packed: PackedDataSet, sha256Hex: (bytes: Uint8Array) => string): DataSetManifest {
  const { manifest, shards, content } = packed;
  const { samples, featureShape, features, target } = manifest;
  const lines = [JSON.stringify({ samples, featureShape, features, target })];
  for (let start = 0; start < samples; start += DIGEST_SAMPLES) {
    const end = Math.min(samples, start + DIGEST_SAMPLES);
    const parts = [content.features, content.targets].map((all) => {
      const each = all.length / samples;
      return new Uint8Array(all.buffer, all.byteOffset + start * each * 4, (end - start) * each * 4);
    });
    const block = new Uint8Array(parts[0]!.length + parts[1]!.length);
    block.set(parts[0]!);
    block.set(parts[1]!, parts[0]!.length);
    lines.push(sha256Hex(block));
  }
  const text = lines.map((line) => `${line}\n`).join('');
  return {
    ...manifest,
    shards: shards.map(({ file, samples: count, bytes }) => ({ file, samples: count, sha256: sha256Hex(bytes) })),
    sha256: sha256Hex(Uint8Array.from(text, (char) => char.charCodeAt(0))),
  };
}
