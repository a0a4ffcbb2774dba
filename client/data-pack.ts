import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { DataSetManifest } from '../contracts/data-set';
import { SmltError } from '../contracts/errors';
import { sha256Hex } from '../storage';
import { finishManifest, packDataSet, type RawDataSet } from '../training/data-set';
import { decodeNpy } from '../training/npy';
import { decodeSafetensors, floatsFrom, isFloatDtype } from '../training/safetensors';

export interface PackOptions {
  readonly kind: 'class' | 'values' | undefined;
  readonly classes: number | undefined;
  readonly seed: number;
  readonly samplesPerShard: number;
}

interface Array_ {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
  readonly integers: boolean;
}

/**
 * Features and targets, each an .npy file, or `file.safetensors:tensor`. Several features, by name: `file.safetensors:a,b`.
 * @throws {SmltError} `BadData`
 */
export async function packFiles(features: string, targets: string, folder: string, options: PackOptions): Promise<DataSetManifest> {
  const x = await readFeatures(features);
  const y = await readArray(targets);
  if (y.shape[0] !== x.samples)
    throw new SmltError('BadData', `${targets}: ${y.shape[0] ?? 'no'} targets for ${x.samples} samples; expected one each`);
  const kind = options.kind ?? (y.integers && y.values.length === x.samples ? 'class' : 'values');
  const classes = kind === 'class' ? (options.classes ?? Math.max(1, largest(y.values)) + 1) : undefined;
  const { values, featureShape, named } = x;
  return packInto(folder, { features: values, featureShape, ...(named && { named }), targets: y.values, kind, classes, seed: options.seed, samplesPerShard: options.samplesPerShard }); // prettier-ignore
}

interface Features {
  readonly samples: number;
  /** Row after row. */
  readonly values: Float32Array;
  readonly featureShape: readonly number[];
  readonly named?: DataSetManifest['features'];
}

async function readFeatures(source: string): Promise<Features> {
  const [, path, list = ''] = /^(.*\.safetensors):(.+)$/.exec(source) ?? [];
  if (path === undefined || !list.includes(',')) {
    const { shape, values, integers } = await readArray(source);
    if (shape.length < 2) throw new SmltError('BadData', `${source}: expected an array [samples, ...], got [${shape.join(', ')}]`);
    if (integers) checkExact(source, values);
    return { samples: shape[0]!, values: Float32Array.from(values), featureShape: shape.slice(1) };
  }
  const names = list.split(',').map((name) => name.trim());
  const arrays = await Promise.all(names.map((name) => readArray(`${path}:${name}`)));
  const samples = arrays[0]!.shape[0] ?? 0;
  arrays.forEach(({ shape, values, integers }, i) => {
    if (shape[0] !== samples || samples === 0)
      throw new SmltError('BadData', `${path}:${names[i]}: expected [${samples || 'samples'}, ...] as ${names[0]} has, got [${shape.join(', ')}]`);
    if (integers) checkExact(`${path}:${names[i]}`, values);
  });
  const widths = arrays.map(({ values }) => values.length / samples);
  const width = widths.reduce((sum, each) => sum + each, 0);
  const rows = new Float32Array(samples * width);
  let start = 0;
  arrays.forEach(({ values }, i) => {
    const own = widths[i]!;
    for (let sample = 0; sample < samples; sample++) for (let at = 0; at < own; at++) rows[sample * width + start + at] = values[sample * own + at]!;
    start += own;
  });
  return { samples, values: rows, featureShape: [width], named: arrays.map(({ shape }, i) => ({ name: names[i]!, shape: shape.slice(1) })) };
}

/** Samples are rows of float32. */
function checkExact(source: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++)
    if (Math.abs(values[i]!) > 2 ** 24)
      throw new SmltError('BadData', `${source}: ${values[i]}: expected whole numbers of at most 16,777,216, which are exact in float32`);
}

/** Writes a data set beside its place and moves it there whole: a half-written one never has its name. */
export async function packInto(folder: string, raw: RawDataSet): Promise<DataSetManifest> {
  const target = resolve(folder);
  const aside = `${target}.${process.pid}.new`;
  const packed = packDataSet(raw);
  const manifest = finishManifest(packed, (bytes) => sha256Hex(bytes));
  const present: string[] = await readdir(target).catch(() => []);
  if (present.length > 0 && !present.includes('manifest.json'))
    throw new SmltError('BadData', `${target} holds other files; name a new or an empty folder`);
  try {
    await mkdir(aside, { recursive: true });
    for (const { file, bytes } of packed.shards) await writeFile(join(aside, file), bytes);
    await writeFile(join(aside, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    await mkdir(dirname(target), { recursive: true });
    await rm(target, { recursive: true, force: true });
    await rename(aside, target);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return manifest;
}

async function readArray(source: string): Promise<Array_> {
  const [, path = source, tensor] = /^(.*\.safetensors):(.+)$/.exec(source) ?? [];
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new SmltError('BadData', `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`, { cause: error }); // prettier-ignore
  }
  try {
    if (path.endsWith('.npy')) {
      const { shape, dtype, data } = decodeNpy(bytes);
      return { shape, values: data, integers: /[iu]/.test(dtype) };
    }
    if (path.endsWith('.safetensors')) return fromSafetensors(bytes, tensor);
  } catch (error) {
    throw error instanceof SmltError ? new SmltError(error.code, `${source}: ${error.message}`, { cause: error }) : error;
  }
  throw new SmltError('BadData', `${source}: expected an .npy file, or file.safetensors:tensor`);
}

function fromSafetensors(bytes: Uint8Array, name: string | undefined): Array_ {
  const { tensors } = decodeSafetensors(bytes);
  const wanted = name ?? (tensors.size === 1 ? [...tensors.keys()][0] : undefined);
  const tensor = wanted === undefined ? undefined : tensors.get(wanted);
  if (!tensor) throw new SmltError('BadData', `expected file.safetensors:tensor with one of ${[...tensors.keys()].join(', ')}`);
  const { shape, data, dtype } = tensor;
  const half = dtype === 'F16' || dtype === 'BF16';
  const values = data instanceof BigInt64Array ? Float64Array.from(data, Number) : half ? floatsFrom(tensor) : data;
  return { shape, values, integers: !isFloatDtype(dtype) };
}

function largest(values: ArrayLike<number>): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i]! > most) most = values[i]!;
  return most;
}
