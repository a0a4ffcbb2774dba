import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataSetManifest } from '../contracts/data-set';
import { SmltError } from '../contracts/errors';
import { openObjectStore, sha256Hex } from '../storage';
import { shardsFor, shardTensors } from '../training/data-set';

/** A file of a data set: a folder of plain files, or a prefix of an object store. @throws {SmltError} `BadData` when it is not there */
async function readDataFile(uri: string, file: string): Promise<Uint8Array> {
  if (!uri.startsWith('file:')) return (await openObjectStore(uri)).get(file);
  const path = join(fileURLToPath(uri), file);
  try {
    return await readFile(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SmltError('BadData', `${path}: ${missing ? 'there is no such file' : (error as Error).message}`, { cause: error });
  }
}

/** @throws {SmltError} `BadData` when there is no manifest, or one that does not say what a data set needs */
export async function readManifest(uri: string): Promise<DataSetManifest> {
  const where = `${uri}/manifest.json`;
  const bytes = await readDataFile(uri, 'manifest.json').catch((error: unknown) => {
    throw new SmltError('BadData', `no data set at ${uri}: ${(error as Error).message}`, { cause: error });
  });
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString());
  } catch (error) {
    throw new SmltError('BadData', `${where} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = DataSetManifest.safeParse(document);
  if (!parsed.success)
    throw new SmltError('BadData', `${where}: ${parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`);
  shardsFor(parsed.data, { start: 0, end: parsed.data.samples });
  return parsed.data;
}

/** Reads and checks one shard: digest, format, shapes, finite features, labels in range. @throws {SmltError} `BadData` */
export async function readShard(uri: string, manifest: DataSetManifest, index: number) {
  const { file, sha256 } = manifest.shards[index]!;
  const bytes = await readDataFile(uri, file);
  const samples = shardTensors(bytes, manifest, index);
  if (sha256Hex(bytes) !== sha256)
    throw new SmltError('BadData', `${uri}/${file}: its SHA-256 is not the one in the manifest; pack the data set again`);
  return samples;
}

/** Samples [start, start + count) as rows, with their targets. @throws {SmltError} `BadData` when there are fewer */
export async function readSamples(uri: string, start: number, count: number): Promise<{ inputs: number[][]; targets: number[][] }> {
  const manifest = await readManifest(uri);
  const inputs: number[][] = [];
  const targets: number[][] = [];
  const perSample = manifest.featureShape.reduce((size, axis) => size * axis, 1);
  const width = manifest.target.kind === 'class' ? 1 : manifest.target.width;
  for (const { shard, samples, wanted } of shardsFor(manifest, { start, end: start + count })) {
    const read = await readShard(uri, manifest, shard);
    for (let i = wanted.start - samples.start; i < wanted.end - samples.start; i++) {
      inputs.push([...read.features.subarray(i * perSample, (i + 1) * perSample)]);
      targets.push([...read.targets.subarray(i * width, (i + 1) * width)]);
    }
  }
  return { inputs, targets };
}
