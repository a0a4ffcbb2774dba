import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Compression } from '../../contracts/compression';
import { settingsOf, type Loss } from '../../contracts/loss';
import type { Layer } from '../../contracts/model';
import { names } from '../../contracts/names';
import type { Optimizer, WeightAverage } from '../../contracts/optimizer';
import type { Recompute } from '../../contracts/recompute';
import type { Schedule } from '../../contracts/schedule';
import { RoundManifest, type Assignment, type Checkpoint, type RoundPlan, type TrainAnswer } from '../../contracts/round';
import { checkpointNames, shapeOf, wholeNames } from '../../contracts/step-names';
import { bytesOf, jsonBytes, jsonOf, sha256Of } from '../../functions/bytes';
import { DataSet } from '../../functions/data-set';
import { onnxCompute } from '../../functions/onnx-compute';
import { prepareProgram } from '../../functions/prepare';
import { readProgram } from '../../functions/program';
import { trainRound } from '../../functions/train/handler';
import { readWeights } from '../../functions/weights';
import type { World } from '../../functions/world';
import { openExchange, openObjectStore, type Exchange, type ObjectStore } from '../../storage';
import { cutOf } from '../../contracts/cut';
import { partsOf, type LocalSteps, type Topology } from '../../contracts/synchronization';
import { finishManifest, packDataSet } from '../../training/data-set';
import { distinctLaneBatches } from '../../training/lanes';

export interface RigOptions {
  layers?: Layer[];
  loss?: Loss;
  samples?: number;
  totalSteps?: number;
  /** Instead of samples that are made up. */
  data?: Parameters<typeof packDataSet>[0];
  lanes?: number;
  batchSize?: number;
  optimizer?: Optimizer;
  schedule?: Schedule;
  clipNorm?: number;
  compression?: Compression;
  microBatches?: number;
  localSteps?: LocalSteps;
  weightAverage?: WeightAverage;
  reproducibility?: 'bits' | 'values';
  recompute?: Recompute | undefined;
  times?: Partial<RoundPlan['times']>;
  /** Files in memory when it is left out. */
  exchangeUri?: string;
}

type Absent = 'data' | 'recompute' | 'compression' | 'microBatches' | 'localSteps' | 'clipNorm' | 'weightAverage' | 'exchangeUri';

export const adam: Optimizer = { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
export const featureShape = [16];
export const classes = 4;
/** Some 2,700 parameters: eleven blocks of 256, so that eight workers all own some. */
export const smallModel: Layer[] = [{ dense: 64 }, 'relu', { dense: 24 }, 'tanh', { dense: classes }];

/** Samples that a model can learn: noisy corners of a cube; the same for everybody. */
export function makeSamples(samples: number, loss: Loss): { features: Float32Array; targets: Float32Array | Int32Array } {
  let seed = 12345;
  const random = () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32) * 2 - 1;
  const features = new Float32Array(samples * featureShape[0]!);
  const targets = settingsOf(loss).kind === 'softmax-cross-entropy' ? new Int32Array(samples) : new Float32Array(samples * 2);
  for (let i = 0; i < samples; i++) {
    const label = i % classes;
    for (let f = 0; f < featureShape[0]!; f++) features[i * featureShape[0]! + f] = random() + ((f >> 2) % classes === label ? 0.7 : 0);
    if (settingsOf(loss).kind === 'softmax-cross-entropy') targets[i] = label;
    else targets.set([label / 2, random()], i * 2);
  }
  return { features, targets };
}

/** Temporary stores, a data set and a program; and rounds on them as workflow and activities would run them. */
export class Rig {
  exchange!: Exchange;
  store!: ObjectStore;
  programDigest = '';
  estimatedMib = 0;
  dataUri = '';
  dataSha256 = '';
  #root = '';
  readonly options: Required<Omit<RigOptions, Absent>> & Pick<RigOptions, Absent>;

  private constructor(options: RigOptions) {
    this.options = {
      layers: smallModel,
      loss: 'softmax-cross-entropy',
      samples: 96,
      totalSteps: 1_000,
      lanes: 8,
      batchSize: 30,
      optimizer: adam,
      schedule: { kind: 'constant', warmupSteps: 0 },
      reproducibility: 'bits',
      ...options,
      times: { waitMs: 25, giveUpMs: 3_000, lookMs: 10, marginMs: 50, ...options.times },
    };
  }

  static async open(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    rig.#root = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'smlt-functions-'));
    rig.store = await openObjectStore(pathToFileURL(join(rig.#root, 'store')).href);
    rig.exchange = await openExchange(options.exchangeUri ?? pathToFileURL(join(rig.#root, 'exchange')).href.replace(/^file:/, 'tmpfs:'));
    await rig.#makeData();
    const { layers, loss, lanes, batchSize, recompute } = rig.options;
    const prepared = await prepareProgram(rig.world, {
      storeUri: rig.store.uri,
      model: { layers },
      loss,
      dataUri: rig.dataUri,
      seed: 7,
      laneBatches: distinctLaneBatches({ batchSize }, lanes, partsOf(options)),
      recompute,
    });
    rig.programDigest = prepared.programDigest;
    rig.estimatedMib = prepared.peakMemoryMib;
    return rig;
  }

  async close(): Promise<void> {
    await this.exchange.close();
    await rm(this.#root, { recursive: true, force: true });
  }

  get world(): World {
    return { store: async () => this.store, exchange: async () => this.exchange, compute: onnxCompute };
  }

  async #makeData(): Promise<void> {
    const { loss, samples, data } = this.options;
    const made = {
      ...makeSamples(samples, loss),
      featureShape,
      ...(settingsOf(loss).kind === 'softmax-cross-entropy' ? { kind: 'class', classes } : { kind: 'values' }),
      seed: 3,
      samplesPerShard: 20,
    } as Parameters<typeof packDataSet>[0];
    const { uri, sha256 } = await this.pack('data', data ?? made);
    this.dataUri = uri;
    this.dataSha256 = sha256;
  }

  async pack(name: string, data: Parameters<typeof packDataSet>[0]): Promise<{ uri: string; sha256: string }> {
    const folder = join(this.#root, name);
    await mkdir(folder, { recursive: true });
    const packed = packDataSet(data);
    const manifest = finishManifest(packed, (bytes) => sha256Of([bytes]));
    for (const { file, bytes } of packed.shards) await writeFile(join(folder, file), bytes);
    await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
    return { uri: pathToFileURL(folder).href, sha256: manifest.sha256 };
  }

  /** Samples of the packed data set, with the first number of each one's target. */
  async samples(start: number, end: number): Promise<{ features: Float32Array; target: number }[]> {
    const data = await DataSet.open(this.world, this.dataUri);
    const loaded = await data.load([{ start, end }]);
    return Array.from({ length: end - start }, (_, i) => {
      const features = new Float32Array(featureShape[0]!);
      const targets = data.manifest.target.kind === 'class' ? new Int32Array(1) : new Float32Array(2);
      loaded.gather([start + i], features, targets);
      return { features, target: targets[0]! };
    });
  }

  /** A new track begins at the program's initial parameters. */
  track(name: string): Track {
    return new Track(this, name);
  }
}

/** How one invocation's world and clock differ from the ordinary. */
export interface Invocation {
  world?: World;
  remainingMs?: () => number;
  spendLimitMs?: number;
  hasTold?: true;
}
export interface RoundOptions {
  workers: number;
  steps: number;
  /** By worker and attempt, from 0. */
  invocation?: (worker: number, attempt: number) => Invocation;
  /** Runs while the workers do. */
  meanwhile?: (plan: RoundPlan) => Promise<void>;
  /** Copies of each assignment that run at once. */
  copies?: number;
  /** How many functions may run at once. */
  slots?: number;
  laneBorders?: number[];
  topology?: Topology;
  groups?: number;
  /** What is otherwise in the plan. */
  change?: Partial<Omit<RoundPlan, 'recipeBody'>> & { recipeBody?: Partial<RoundPlan['recipeBody']> };
}

/** What a killed instance throws: no error that smlt knows, as a dead process says nothing. */
export class Killed extends Error {}

const MOST_ATTEMPTS = 60;

export class Track {
  step = 0;
  start: Checkpoint = { kind: 'initial' };
  readonly answers: TrainAnswer[] = [];
  #round = 0;
  #cut: RoundPlan['cut'] | undefined;

  constructor(
    readonly rig: Rig,
    readonly name: string,
  ) {}

  get lastRound(): number {
    return this.#round - 1;
  }

  async plan({ workers, steps, laneBorders, topology = 'scatter-reduce', groups, change }: RoundOptions): Promise<RoundPlan> {
    const { rig } = this;
    const { optimizer, schedule, clipNorm, compression, microBatches, localSteps, weightAverage, lanes, batchSize, reproducibility, times } =
      rig.options;
    const program = await readProgram(rig.store, rig.programDigest);
    this.#cut = {
      ...cutOf({ topology, lanes, paramCount: program.paramCount, workers }),
      ...(laneBorders && { laneBorders }),
    };
    const plan: RoundPlan = {
      formatVersion: 1,
      run: 'run',
      track: this.name,
      recipe: 'recipe-1234',
      recipeBody: {
        programDigest: rig.programDigest,
        codeDigest: 'code-1234',
        dataSha256: rig.dataSha256,
        lanes,
        batchSize,
        seed: 11,
        totalSteps: rig.options.totalSteps,
        optimizer,
        schedule,
        ...(clipNorm === undefined ? {} : { clipNorm }),
        ...(compression && { compression }),
        ...(microBatches && { microBatches }),
        ...(localSteps && { localSteps }),
        ...(weightAverage === undefined ? {} : { weightAverage }),
      },
      round: this.#round,
      first: this.step,
      last: this.step + steps,
      allocation: { workers, memoryMib: 512, steps },
      cut: this.#cut,
      topology,
      ...(groups === undefined ? {} : { groups }),
      start: this.start,
      dataUri: rig.dataUri,
      exchangeUri: rig.exchange.uri,
      storeUri: rig.store.uri,
      times: times as RoundPlan['times'],
      reproducibility,
      reason: 'test',
    };
    const changed = { ...plan, ...change, recipeBody: { ...plan.recipeBody, ...change?.recipeBody } };
    await rig.store.decide(names.plan(plan, plan.round), jsonBytes(changed));
    return changed;
  }

  async round(options: RoundOptions): Promise<void> {
    const plan = await this.plan(options);
    const ended = Promise.all(Array.from({ length: options.workers }, (_, worker) => this.#driveWorker(plan, worker, options)));
    await Promise.all([ended, options.meanwhile?.(plan)]);
    await this.commit(plan);
  }

  #running = 0;
  async #driveWorker(plan: RoundPlan, worker: number, { invocation, copies = 1, slots = Infinity }: RoundOptions): Promise<void> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      while (this.#running >= slots) await new Promise((resolve) => setTimeout(resolve, 5));
      this.#running++;
      try {
        const runs = Array.from({ length: copies }, () => this.invoke(plan, worker, invocation?.(worker, attempt)));
        const answers = await Promise.all(runs);
        this.answers.push(...answers);
        if (answers.every(({ kind }) => kind === 'done' || kind === 'superseded')) return;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      } finally {
        this.#running--;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`worker ${worker} of round ${plan.round} does not come to an end`);
  }

  invoke(
    plan: RoundPlan,
    worker: number,
    { world = this.rig.world, remainingMs = () => 900_000, spendLimitMs, hasTold }: Invocation = {},
  ): Promise<TrainAnswer> {
    const { run, track, round } = plan;
    const assignment: Assignment = { storeUri: this.rig.store.uri, run, track, round, worker, memoryMib: 512, spendLimitMs, hasTold };
    return trainRound(world, assignment, { getRemainingTimeInMillis: remainingMs });
  }

  /** As the activity does: the manifest names only objects that are durable, and what it makes unreachable is swept. */
  async commit(plan: RoundPlan, step = plan.last): Promise<void> {
    const { store, exchange } = this.rig;
    const { bufferCount } = await readProgram(store, this.rig.programDigest);
    const { run, track, recipe, round, start, cut } = plan;
    const kept = step === plan.first ? [] : checkpointNames(plan, step, shapeOf(plan, bufferCount));
    const objects = await Promise.all(
      kept.map(async (name) => {
        const info = await store.head(name);
        if (!info) throw new Error(`${name} is not durable`);
        return { name, sha256: info.sha256 };
      }),
    );
    const averaged = plan.recipeBody.weightAverage ? true : undefined;
    const manifest: RoundManifest = {
      formatVersion: 1,
      run,
      track,
      recipe,
      round,
      step,
      rangeBorders: cut.rangeBorders,
      averaged,
      start,
      loss: null,
      objects,
    };
    const stored = RoundManifest.parse(jsonOf(await store.decide(names.manifest(plan, round), jsonBytes(manifest))));
    const live = await exchange.list(names.steps(plan));
    await exchange.delete(live.filter((name) => stepOf(name) < stored.step));
    this.step = stored.step;
    if (stored.objects.length > 0)
      this.start = { kind: 'stored', run, track, recipe, step: stored.step, rangeBorders: stored.rangeBorders, averaged };
    this.#round++;
  }

  /** Ends a round at its newest complete step. */
  async cutShort(plan: RoundPlan): Promise<void> {
    const { store, exchange } = this.rig;
    const { bufferCount } = await readProgram(store, this.rig.programDigest);
    const shape = shapeOf(plan, bufferCount);
    for (let step = plan.last; step > plan.first && shape.statefulLanes === undefined; step--) {
      const values = await Promise.all(wholeNames(plan, step, shape, plan.first).map((name) => exchange.get(name)));
      if (values.some((value) => value === undefined)) continue;
      const kept = checkpointNames(plan, step, shape);
      await Promise.all(kept.map((name, i) => store.putValue(name, values[i]!)));
      return this.commit(plan, step);
    }
    return this.commit(plan, plan.first);
  }

  async weightsSha256(): Promise<string> {
    const { params, buffers } = await this.weights();
    return sha256Of([bytesOf(params), bytesOf(buffers)]);
  }
  async weights() {
    const program = await readProgram(this.rig.store, this.rig.programDigest);
    return readWeights(this.rig.store, program, { run: 'run', track: this.name, round: this.lastRound });
  }
}

export const stepOf = (name: string): number => Number(/\/steps\/(\d+)\//.exec(name)?.[1]);

/** A world with something in front of every write, and around what an instance does. */
function aroundWrites(rig: Rig, write: (name: string, put: () => Promise<void>) => Promise<void>, alive: () => void = () => undefined): World {
  const { store, exchange } = rig;
  const watchedStore: Partial<ObjectStore> = {
    putValue: (name, ...rest) => write(name, () => store.putValue(name, ...rest)),
    head: async (...args) => (alive(), store.head(...args)),
  };
  const watchedExchange: Partial<Exchange> = {
    putValue: (name, ...rest) => write(name, () => exchange.putValue(name, ...rest)),
    delete: (deleted, ...rest) => write(deleted[0]!, () => exchange.delete(deleted, ...rest)),
    get: async (...args) => (alive(), exchange.get(...args)),
    getInto: async (...args) => (alive(), exchange.getInto(...args)),
    present: async (...args) => (alive(), exchange.present(...args)),
    waitFor: async (...args) => (alive(), exchange.waitFor(...args)),
    take: (taker, lookMs) => {
      const taken = (name: string) => (alive(), taker.taken(name));
      return exchange.take({ taken, gone: (name) => taker.gone(name), failed: (error) => taker.failed(error) }, lookMs);
    },
  };
  return { store: async () => over(store, watchedStore), exchange: async () => over(exchange, watchedExchange), compute: rig.world.compute };
}

/** Private members live on the real object: what is not overridden runs there. */
function over<T extends object>(real: T, overrides: Partial<T>): T {
  return new Proxy(real, {
    get: (_, property) => {
      if (Object.hasOwn(overrides, property)) return Reflect.get(overrides, property) as unknown;
      const value = Reflect.get(real, property) as unknown;
      return typeof value === 'function' ? (value.bind(real) as unknown) : value;
    },
  });
}

/** Looks, and does what it likes, before every write of an instance. */
export function watchedWorld(rig: Rig, look: (name: string) => Promise<void>): World {
  return aroundWrites(rig, async (name, put) => {
    await look(name);
    await put();
  });
}

/** A world whose instance dies at its nth write, before or after it took effect; nothing it does afterwards happens. */
export function dyingWorld(rig: Rig, at: number, when: 'before' | 'after'): World {
  let writes = 0;
  let dead = false;
  const alive = () => {
    if (dead) throw new Killed('the instance is dead');
  };
  const write = async (_: string, put: () => Promise<void>) => {
    alive();
    const dies = writes++ === at;
    if (dies && when === 'before') dead = true;
    alive();
    await put();
    if (dies) dead = true;
    alive();
  };
  return aroundWrites(rig, write, alive);
}
