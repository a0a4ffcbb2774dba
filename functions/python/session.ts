import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import type { Loss } from '../../contracts/model';
import type { Program } from '../../contracts/program';
import { sha256Of } from '../bytes';
import type { ForwardInput, LaneInput } from '../compute';
import type { Channel } from './channel';

const Tensor = z.object({ name: z.string(), shape: z.array(z.int().min(0)) });
const Loaded = z.object({
  session: z.int(),
  params: z.array(Tensor),
  statistics: z.array(Tensor.extend({ momentum: z.number() })),
  constants: z.string(),
  packages: z.array(z.string()),
  notes: z.array(z.string()),
  memory: z.object({ path: z.string(), params: z.int(), statistics: z.int(), vector: z.int(), samples: z.int() }),
  loadMs: z.number(),
});
const Nothing = z.object({});
const Outputs = z.object({ offset: z.int(), length: z.int(), loss: z.number().nullable() });

export type Sources = ReadonlyMap<string, Uint8Array>;
export interface SessionOptions {
  readonly entry: string;
  readonly sources: Sources;
  readonly seed: number;
  readonly loss: Loss;
  readonly featureShape: readonly number[];
  readonly target: Program['target'];
  /** Where the program was prepared before: what must be the same again. */
  readonly prepared?: { readonly packages: readonly string[]; readonly constants: string };
}

type Numbers = Float32Array | Int32Array;

/**
 * A program that Python has loaded, and the memory shared with it: Python maps it, this side reads and writes the file
 * behind it, one copy each way (python/smlt/memory.py).
 */
export class PythonSession {
  private constructor(
    private readonly channel: Channel,
    private readonly file: number,
    readonly loaded: z.output<typeof Loaded>,
  ) {}

  static async open(channel: Channel, { entry, sources, seed, loss, featureShape, target, prepared }: SessionOptions): Promise<PythonSession> {
    const folder = await unpack(sources);
    const loaded = await channel.ask({ ask: 'load', folder, entry, seed, loss, featureShape, target, ...prepared }, Loaded);
    return new PythonSession(channel, openSync(loaded.memory.path, 'r+'), loaded);
  }

  get paramCount(): number {
    return countOf(this.loaded.params);
  }
  get bufferCount(): number {
    return countOf(this.loaded.statistics);
  }

  /** The values that the model was built with. */
  initial(): { params: Float32Array; buffers: Float32Array } {
    const params = new Float32Array(this.paramCount);
    const buffers = new Float32Array(this.bufferCount);
    this.#read(this.loaded.memory.params, params);
    this.#read(this.loaded.memory.statistics, buffers);
    return { params, buffers };
  }

  async gradient({ params, newParams, features, targets, into, seed, step, lane }: Omit<LaneInput, 'noise'>, samples: number): Promise<void> {
    const { memory, session } = this.loaded;
    if (newParams) this.#write(memory.params, params);
    this.#writeSamples(features, targets);
    await this.channel.ask({ ask: 'gradient', session, samples, seed, step, lane }, Nothing);
    this.#read(memory.vector, into);
  }

  /** Raw outputs, and the program's own loss where it has one and targets are given. */
  async forward({ params, buffers, features, samples, targets }: ForwardInput): Promise<{ outputs: Float32Array; lossSum: number | undefined }> {
    const { memory, session } = this.loaded;
    this.#write(memory.params, params);
    if (buffers.length > 0) this.#write(memory.statistics, buffers);
    this.#writeSamples(features, targets ?? new Float32Array(0));
    const { offset, length, loss } = await this.channel.ask({ ask: 'forward', session, samples, targets: targets !== undefined }, Outputs);
    const outputs = new Float32Array(length);
    this.#read(offset, outputs);
    return { outputs, lossSum: loss ?? undefined };
  }

  async close(): Promise<void> {
    closeSync(this.file);
    await this.channel.ask({ ask: 'close', session: this.loaded.session }, Nothing);
  }

  #writeSamples(features: Numbers, targets: Numbers): void {
    const { samples } = this.loaded.memory;
    this.#write(samples, features);
    if (targets.length > 0) this.#write(samples + features.byteLength, targets);
  }

  #write(offset: number, values: Numbers): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let at = 0; at < bytes.length;) at += writeSync(this.file, bytes, at, bytes.length - at, offset + at);
  }

  #read(offset: number, into: Float32Array): void {
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    for (let at = 0; at < bytes.length;) {
      const read = readSync(this.file, bytes, at, bytes.length - at, offset + at);
      if (read === 0)
        throw new SmltError('FunctionFailed', `the memory shared with Python ends at ${offset + at}, expected ${bytes.length - at} more bytes`);
      at += read;
    }
  }
}

const countOf = (tensors: readonly { shape: readonly number[] }[]): number =>
  tensors.reduce((sum, { shape }) => sum + shape.reduce((product, axis) => product * axis, 1), 0);

/** The program's files in a folder named by what they are: made once a machine, whole or not at all. */
async function unpack(sources: Sources): Promise<string> {
  const files = [...sources].sort(([a], [b]) => (a < b ? -1 : 1));
  const digest = sha256Of(files.flatMap(([path, bytes]) => [Buffer.from(`${path}\0${bytes.byteLength}\0`), bytes])).slice(0, 32);
  const folder = join(tmpdir(), `smlt-program-${process.getuid?.() ?? 0}-${digest}`);
  const aside = await mkdtemp(`${folder}.`);
  try {
    for (const [path, bytes] of files) {
      await mkdir(dirname(join(aside, path)), { recursive: true });
      await writeFile(join(aside, path), bytes);
    }
    await rename(aside, folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error; // somebody unpacked the same
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return folder;
}
