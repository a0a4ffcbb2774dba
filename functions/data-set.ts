import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { DataSetManifest } from '../contracts/data-set';
import { SmltError } from '../contracts/errors';
import type { Span } from '../contracts/names';
import { objectFrames } from '../storage/frame';
import { shardTensors } from '../training/data-set';
import { jsonOf, sha256Of } from './bytes';
import { cacheBytes, Lru } from './lru';
import type { Stores } from './stores';

interface Shard {
  readonly features: Float32Array;
  readonly targets: Float32Array | Int32Array;
}

/** Under its digest, so that the same data is kept once, whatever it is called. What a turn needs it also holds itself. */
const shards = new Lru<Shard>(cacheBytes, ({ features, targets }) => features.byteLength + targets.byteLength);

/** A data set is a folder of plain files, or a prefix of an object store. */
async function readDataFile(stores: Stores, dataUri: string, file: string): Promise<Uint8Array> {
  if (!dataUri.startsWith('file:')) return (await stores.store(dataUri)).get(file);
  const folder = fileURLToPath(dataUri);
  const path = `${folder.replace(/\/$/, '')}/${file}`;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new SmltError('BadData', `${path}: expected a file of a data set, and cannot read it: ${(error as Error).message}`, { cause: error });
  }
  return Buffer.from(bytes.subarray(0, 4)).toString('latin1') === 'smlt' ? objectFrames.decode(bytes, path) : bytes;
}

export class DataSet {
  readonly #starts: number[];
  private constructor(
    private readonly stores: Stores,
    private readonly uri: string,
    readonly manifest: DataSetManifest,
  ) {
    let start = 0;
    this.#starts = manifest.shards.map(({ samples }) => (start += samples) - samples);
  }

  static async open(stores: Stores, uri: string): Promise<DataSet> {
    const bytes = await readDataFile(stores, uri, 'manifest.json');
    let manifest: unknown;
    try {
      manifest = jsonOf(bytes);
    } catch (error) {
      throw new SmltError('BadData', `${uri}/manifest.json: expected JSON: ${(error as Error).message}`, { cause: error });
    }
    const parsed = DataSetManifest.safeParse(manifest);
    if (!parsed.success)
      throw new SmltError(
        'BadData',
        `${uri}/manifest.json: ${parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`,
      );
    const counted = parsed.data.shards.reduce((sum, { samples }) => sum + samples, 0);
    if (counted !== parsed.data.samples)
      throw new SmltError('BadData', `${uri}/manifest.json: says ${parsed.data.samples} samples, and its shards have ${counted}`);
    return new DataSet(stores, uri, parsed.data);
  }

  /** Reads every shard once, one after the other, so that bad data is refused before anything is spent on training. */
  async checkAll(): Promise<void> {
    for (const [index, { samples }] of this.manifest.shards.entries()) if (samples > 0) await this.#read(index);
  }

  /** Reads the shards that hold these samples. */
  async load(spans: readonly Span[]): Promise<Samples> {
    const { manifest } = this;
    const loaded: LoadedShard[] = [];
    for (const [index, { samples }] of manifest.shards.entries()) {
      const start = this.#starts[index]!;
      const end = start + samples;
      if (samples > 0 && spans.some((span) => span.start < end && start < span.end)) loaded.push({ start, end, ...(await this.#shard(index)) });
    }
    return new Samples(manifest, loaded);
  }

  #shard(index: number): Promise<Shard> {
    return shards.remember(this.manifest.shards[index]!.sha256, () => this.#read(index));
  }

  async #read(index: number): Promise<Shard> {
    const { file, sha256 } = this.manifest.shards[index]!;
    const bytes = await readDataFile(this.stores, this.uri, file);
    const found = sha256Of([bytes]);
    if (found !== sha256)
      throw new SmltError(
        'BadData',
        `${this.uri}/${file} (shard ${index}): expected SHA-256 ${sha256.slice(0, 12)}..., found ${found.slice(0, 12)}...`,
      );
    return shardTensors(bytes, this.manifest, index);
  }
}

interface LoadedShard extends Span, Shard {}

/** Samples in memory, looked up by their index in the data set. */
export class Samples {
  readonly #featureLength: number;
  readonly #targetLength: number;
  constructor(
    manifest: DataSetManifest,
    private readonly loaded: readonly LoadedShard[],
  ) {
    this.#featureLength = manifest.featureShape.reduce((product, size) => product * size, 1);
    this.#targetLength = manifest.target.kind === 'class' ? 1 : manifest.target.width;
  }

  /** Copies samples, in the order given, into buffers that are used again and again. */
  gather(indices: ArrayLike<number>, features: Float32Array, targets: Float32Array | Int32Array): void {
    const [width, targetWidth] = [this.#featureLength, this.#targetLength];
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!;
      const shard = this.loaded.find(({ start, end }) => start <= index && index < end);
      if (!shard) throw new Error(`sample ${index} is in no shard that was read`);
      const at = index - shard.start;
      features.set(shard.features.subarray(at * width, (at + 1) * width), i * width);
      targets.set(shard.targets.subarray(at * targetWidth, (at + 1) * targetWidth), i * targetWidth);
    }
  }
}
