import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { LOSS_WEIGHT } from '../../contracts/loss';
import type { PythonModel } from '../../contracts/model';
import type { Program } from '../../contracts/program';
import type { ObjectStore } from '../../storage/object-store';
import { blockElements } from '../../contracts/cut';
import { measure } from '../../training/metrics';
import { decodeSafetensors } from '../../training/safetensors';
import { bytesOf, jsonBytes } from '../bytes';
import type { BuildRequest, Built, Compute } from '../compute';
import { Lru } from '../lru';
import { readGraph, readProgram } from '../program';
import { peakRssMib } from '../peak-memory';
import type { Stores } from '../stores';
import type { Channel } from './channel';
import { PythonSession, type Sources } from './session';

const CpuClass = z.object({ cpuClass: z.string() });
const MIB = 1_048_576;
/** Flat vectors of this process: partial sums, means, parameters, optimiser state. */
const VECTORS = 8;

/** A user's Python code, computed by the Python process that this one serves. */
export function pythonCompute(channel: Channel): Compute {
  const sessions = new Lru<PythonSession>(
    2,
    () => 1,
    (session) => void session.close(),
  );

  async function sessionOf(store: ObjectStore, program: Program): Promise<PythonSession> {
    const { python, loss, featureShape, target } = program;
    if (!python) throw new SmltError('InvalidSpec', `program ${program.digest} is no Python program: it needs the functions that run graphs`);
    return sessions.remember(`${store.uri} ${program.digest}`, async () => {
      const sources = await storedSources(store, program);
      const { entry, seed, packages, constants } = python;
      return PythonSession.open(channel, { entry, sources, seed, loss, featureShape, target, prepared: { packages, constants } });
    });
  }

  return {
    cpuClass: async () => (await channel.ask({ ask: 'cpuClass' }, CpuClass)).cpuClass,
    peakRssMib: () => channel.peakRssMib + peakRssMib(),
    build: (request) => build(channel, request),
    async openLane(store, program, samples) {
      await sessionOf(store, program);
      return { run: async (input) => (await sessionOf(store, program)).gradient(input, samples), close: async () => undefined };
    },
    async openForward(store, program) {
      await sessionOf(store, program);
      return { run: async (input) => (await sessionOf(store, program)).forward(input), close: async () => undefined };
    },
    async modelFiles(store, program) {
      const sources = await storedSources(store, program);
      const { entry = '', packages = [] } = program.python ?? {};
      return new Map([...sources, ['requirements.lock', Buffer.from(`${packages.join('\n')}\n`)], ['entry.json', jsonBytes({ entry })]]);
    },
    async openModel(store, { programDigest }, named) {
      const program = await readProgram(store, programDigest);
      const { tensors } = decodeSafetensors(await store.get(named('model.safetensors')));
      const flat = (wanted: Program['params'], count: number) => {
        const values = new Float32Array(count);
        for (const { name, offset } of wanted) values.set(tensors.get(name)?.data as Float32Array, offset);
        return values;
      };
      const params = flat(program.params, program.paramCount);
      // The weight of a batch's losses is no part of a model: it is not exported.
      const buffers = flat(
        program.buffers.filter(({ name }) => name !== LOSS_WEIGHT),
        program.bufferCount,
      );
      return {
        run: async (features, samples) => (await (await sessionOf(store, program)).forward({ params, buffers, features, samples })).outputs,
        close: async () => undefined,
      };
    },
  };
}

/** Loads the program, and computes one gradient twice: what is wrong with it is said here, and what it takes is measured. */
async function build(channel: Channel, { stores, request, data }: BuildRequest): Promise<Built> {
  const { model, loss, seed, laneBatches, reproducibility } = request;
  if (!('python' in model)) throw new SmltError('InvalidSpec', 'the functions that run Python were asked to prepare another model');
  const { featureShape, target, samples: available } = data.manifest;
  const { entry, sources } = await givenSources(stores, model);
  const session = await PythonSession.open(channel, { entry, sources, seed, loss, featureShape, target });
  try {
    const { loaded, paramCount, bufferCount } = session;
    const { params, buffers } = session.initial();
    const samples = Math.min(available, Math.max(...laneBatches));
    const taken = await data.load([{ start: 0, end: samples }]);
    const features = new Float32Array(samples * featureShape.reduce((product, axis) => product * axis, 1));
    const targets = target.kind === 'class' ? new Int32Array(samples) : new Float32Array(samples * target.width);
    taken.gather(
      Array.from({ length: samples }, (_, i) => i),
      features,
      targets,
    );
    const gradient = async () => {
      const into = new Float32Array(paramCount + bufferCount + 1);
      const startedAtMs = performance.now();
      await session.gradient({ params, newParams: true, features, targets, into, seed, step: 0, lane: 0 }, samples);
      return { into, ms: performance.now() - startedAtMs };
    };
    const first = await gradient();
    const second = await gradient();
    const deterministic = Buffer.compare(bytesOf(first.into), bytesOf(second.into)) === 0;
    if (!deterministic && reproducibility !== 'values')
      throw new SmltError(
        'NotDeterministic',
        `${entry}: two gradients of the same ${samples} samples differ in ${differing(first.into, second.into)}`,
      );
    const { outputs, lossSum } = await session.forward({ params, buffers, features, samples, targets });
    // Refuses outputs that evaluating could not hold against the targets.
    measure({ loss, target, outputs, outputShape: [outputs.length / samples], targets, features, ownLossSum: lossSum });

    const files = new Map<string, Uint8Array>([
      ['initial-params.f32', bytesOf(params)],
      ['initial-buffers.f32', bytesOf(buffers)],
    ]);
    for (const [path, bytes] of sources) files.set(`source/${path}`, bytes);
    const { packages, constants, notes, loadMs } = loaded;
    return {
      program: {
        formatVersion: 1,
        loss,
        params: layout(loaded.params),
        paramCount,
        buffers: layout(loaded.statistics),
        bufferCount,
        blockElements: blockElements(paramCount),
        featureShape: [...featureShape],
        target,
        noise: [],
        trainingGraphs: {},
        forwardGraph: '',
        initialParams: 'initial-params.f32',
        initialBuffers: 'initial-buffers.f32',
        python: { entry, files: [...sources.keys()].map((path) => ({ path, object: `source/${path}` })), seed, packages, constants },
        peakMemoryMib: 0,
        forwardFlopsPerSample: 0,
      },
      files,
      measured: {
        peakMemoryMib: Math.ceil(channel.peakRssMib + peakRssMib() + (VECTORS * 4 * paramCount) / MIB),
        gradientMsPerSample: second.ms / samples,
        coldStartMs: Math.ceil(loadMs + first.ms),
        notes: deterministic
          ? notes
          : [...notes, 'its gradients are not the same bits every time: weights are reproducible only within the noise of that'],
      },
    };
  } finally {
    await session.close();
  }
}

function differing(a: Float32Array, b: Float32Array): string {
  const count = a.reduce((sum, value, i) => sum + (Object.is(value, b[i]) ? 0 : 1), 0);
  return `${count} of ${a.length} values`;
}

/** Puts tensors one after the other. */
function layout<T extends { name: string; shape: number[] }>(tensors: readonly T[]): (T & { offset: number; length: number })[] {
  let offset = 0;
  return tensors.map((tensor) => {
    const length = tensor.shape.reduce((product, axis) => product * axis, 1);
    offset += length;
    return { ...tensor, offset: offset - length, length };
  });
}

async function storedSources(store: ObjectStore, { python }: Program): Promise<Sources> {
  const files = python?.files ?? [];
  return new Map(await Promise.all(files.map(async ({ path, object }) => [path, await readGraph(store, object)] as const)));
}

/** The program and its files, as paths relative to the folder of the program. */
async function givenSources(stores: Stores, { python, files }: PythonModel): Promise<{ entry: string; sources: Sources }> {
  const folder = python.slice(0, python.lastIndexOf('/') + 1);
  const sources = new Map<string, Uint8Array>();
  for (const uri of [python, ...files]) {
    if (!uri.startsWith(folder))
      throw new SmltError('InvalidSpec', `model.files: ${uri}: expected a file beside ${python} or below it, where the program can import it`);
    sources.set(decodeURIComponent(uri.slice(folder.length)), await readUri(stores, uri));
  }
  return { entry: decodeURIComponent(python.slice(folder.length)), sources };
}

async function readUri(stores: Stores, uri: string): Promise<Uint8Array> {
  if (!uri.startsWith('file:')) {
    const cut = uri.lastIndexOf('/');
    return (await stores.store(uri.slice(0, cut))).get(uri.slice(cut + 1));
  }
  try {
    return await readFile(fileURLToPath(uri));
  } catch (error) {
    throw new SmltError('InvalidModel', `${uri}: expected a file of the program, and cannot read it: ${(error as Error).message}`, { cause: error });
  }
}
