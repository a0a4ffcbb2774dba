import { requestsLine, type StoreRequests } from '../../contracts/charged-requests';
import { SmltError } from '../../contracts/errors';
import { modelOfFunction, type FunctionRole } from '../../contracts/functions';
import {
  EvaluateRequest,
  ExportRequest,
  PredictRequest,
  type EvaluateAnswer,
  type ExportAnswer,
  type PredictAnswer,
  type PrepareAnswer,
} from '../../contracts/functions';
import { MicroProbeRequest, type MicroProbeAnswer } from '../../contracts/micro-probe';
import { names } from '../../contracts/names';
import type { Program } from '../../contracts/program';
import { Assignment, RoundManifest, RoundPlan } from '../../contracts/round';
import { checkpointNames, shapeOf, wholeNames } from '../../contracts/step-names';
import { lambdaVcpus, listPrices } from '../lambda/prices';
import type { FunctionPlatform, FunctionReference, FunctionSpec, Invocation, PlatformLimits, PriceList, Usage } from '../platform';
import type { FunctionModel } from './function-model';
import { SimulatedRound, TURN_REQUESTS, type TurnEnd } from './simulated-round';
import { stepValue } from './step-values';
import type { VirtualClock } from './virtual-clock';

/** The part of an object store that functions use. */
export interface Objects {
  readonly uri: string;
  get(name: string): Promise<Uint8Array>;
  head(name: string): Promise<unknown>;
  putValue(name: string, bytes: Uint8Array): Promise<void>;
}
export interface SimulatedPlatformOptions {
  readonly model: FunctionModel;
  readonly clock: VirtualClock;
  readonly objects: Objects;
  readonly limits?: Partial<PlatformLimits>;
  readonly gatherMs?: number;
}
/** One invocation as the platform charged it: what a ledger is held against. */
export interface SimulatedBill {
  readonly role: FunctionRole;
  readonly kind: Invocation['kind'];
  readonly startMs: number;
  readonly usage: Usage;
  /** What its log told of. */
  readonly requests: StoreRequests;
}

/** An instance that nobody has used for this long is gone. Source: observed on AWS Lambda, 5 to 15 minutes. */
const IDLE_MS = 600_000;
const ANSWER_WIDTH = 10;
/** Program, weights and data; a model's three files are written. */
const OTHER_REQUESTS: StoreRequests = { puts: 3, gets: 4 };

/**
 * A function platform that answers by a model of time, cost and faults, without computing: the real workflows and
 * activities run on it for virtual days in seconds. Training functions leave the names that a real round leaves.
 */
export class SimulatedPlatform implements FunctionPlatform {
  readonly limits: PlatformLimits;
  readonly prices: PriceList = listPrices.x64;
  readonly uniformCpus = true;
  readonly bills: SimulatedBill[] = [];
  /** Most invocations that ran at once. */
  peakConcurrency = 0;
  readonly #options: SimulatedPlatformOptions;
  readonly #rounds = new Map<string, Promise<SimulatedRound>>();
  readonly #plans = new Map<string, RoundPlan>();
  /** When each free instance of a function was last used. */
  readonly #free = new Map<string, number[]>();
  readonly #live = new Map<string, string>();
  #published = 0;
  #running = 0;

  constructor(options: SimulatedPlatformOptions) {
    this.#options = options;
    this.limits = { timeoutMs: 900_000, concurrency: 1_000, minMemoryMib: 128, maxMemoryMib: 10_240, totalCores: Infinity, ...options.limits };
  }

  vcpus(memoryMib: number): number {
    return lambdaVcpus(memoryMib);
  }
  codeDigest(): Promise<string> {
    return Promise.resolve('simulated-functions');
  }
  ensure({ role, memoryMib, name }: FunctionSpec): Promise<FunctionReference> {
    return Promise.resolve({ name: name ?? `${role}-${memoryMib}`, memoryMib });
  }
  publish(spec: FunctionSpec): Promise<{ reference: FunctionReference; version: string }> {
    this.#published += 1;
    return Promise.resolve({ reference: { name: spec.name!, memoryMib: spec.memoryMib }, version: String(this.#published) });
  }
  shift(name: string, version: string, weight: number): Promise<void> {
    if (weight === 1) this.#live.set(name, version);
    return Promise.resolve();
  }
  live(name: string): Promise<string | undefined> {
    return Promise.resolve(this.#live.get(name));
  }

  async invoke({ name, memoryMib }: FunctionReference, payload: unknown): Promise<Invocation> {
    const { clock, model } = this.#options;
    const role = (modelOfFunction(name) !== undefined ? 'predict' : name.slice(0, name.lastIndexOf('-'))) as FunctionRole;
    const startMs = await clock.now();
    if (model.refuses(role, startMs)) throw new SmltError('PlatformUnavailable', `${name}: the simulated platform takes no invocations now`);
    if (this.#running >= this.limits.concurrency)
      throw new SmltError('PlatformUnavailable', `${name}: ${this.#running} invocations run, and the account allows ${this.limits.concurrency}`);
    const free = this.#freeInstances(name, startMs);
    const cold = free.pop() === undefined;
    this.#running += 1;
    this.peakConcurrency = Math.max(this.peakConcurrency, this.#running);
    let crashed = false;
    try {
      const end = role === 'train' ? await this.#train(payload, cold) : await this.#answer(role, memoryMib, payload);
      crashed = end.kind !== 'answered' && end.kind !== 'returned';
      const billedMs = Math.max(1, Math.ceil((await clock.now()) - startMs));
      const usage = { billedMs: Math.min(billedMs, this.limits.timeoutMs), memoryMib, maxMemoryMib: 0, initMs: end.initMs, cold, estimated: false };
      const kind = end.kind === 'answered' || end.kind === 'returned' ? 'returned' : end.kind;
      const requests = requestsOf(role, kind);
      this.bills.push({ role, kind, startMs, usage, requests });
      const logTail = requestsLine(requests, kind === 'returned');
      if (end.kind === 'answered') return { kind: 'returned', output: end.answer, usage, logTail };
      if (end.kind === 'returned') return { kind: 'returned', output: end.output, usage, logTail };
      return { kind: end.kind, message: `the simulated function ${end.kind}`, usage, logTail };
    } finally {
      this.#running -= 1;
      const usedMs = await clock.now();
      if (!crashed) this.#freeInstances(name, usedMs).push(usedMs);
    }
  }

  /** When the function's free instances were last used, the newest last: once that one is gone, all are. */
  #freeInstances(name: string, nowMs: number): number[] {
    const known = this.#free.get(name);
    if (known && nowMs - (known.at(-1) ?? nowMs) <= IDLE_MS) return known;
    const none: number[] = [];
    this.#free.set(name, none);
    return none;
  }

  /** A round's manifest exists: its functions end. */
  manifestWritten(name: string): void {
    const round = this.#rounds.get(name);
    this.#rounds.delete(name);
    this.#plans.delete(name);
    void round?.then((one) => one.decide());
  }

  /** Names in the exchange of the running rounds under a prefix: the newest complete step of each. */
  async exchangeNames(prefix: string): Promise<string[]> {
    const nowMs = await this.#options.clock.now();
    const all: string[] = [];
    for (const [key, plan] of this.#plans) {
      const step = (await this.#rounds.get(key)!).stepAt(nowMs);
      const { bufferCount } = this.#options.model.program;
      if (step > plan.first) all.push(...wholeNames(plan, step, shapeOf(plan, bufferCount), plan.first));
    }
    return all.filter((name) => name.startsWith(prefix));
  }
  /** The value that a step's name stands for. */
  exchangeValue(name: string): Uint8Array | undefined {
    const parts = /^runs\/([^/]+)\/([^/]+)\/([^/]+)\/steps\/(\d+)\//.exec(name);
    if (!parts) return undefined;
    const [, run, track, recipe, step] = parts;
    return this.#value({ run: run!, track: track!, recipe: recipe! }, Number(step), name);
  }

  #value(id: { run: string; track: string; recipe: string }, step: number, name: string): Uint8Array {
    const { model } = this.#options;
    return stepValue(id, step, name, model.program, (at) => model.lossAt(at));
  }

  async #train(payload: unknown, cold: boolean): Promise<TurnEnd | Answered> {
    const probe = MicroProbeRequest.safeParse(payload);
    if (probe.success) return this.#probe(probe.data);
    const { run, track, round, worker, spendLimitMs } = Assignment.parse(payload);
    const { objects } = this.#options;
    const key = names.manifest({ run, track }, round);
    if ((await objects.head(key)) !== undefined) return (await this.#round(key, { run, track, round }, true)).join(worker, { cold, spendLimitMs });
    return (await this.#round(key, { run, track, round }, false)).join(worker, { cold, spendLimitMs });
  }

  /** Gradients without any exchange, as many times as a real function takes them. */
  async #probe({ samples, memoryMib }: MicroProbeRequest): Promise<Answered> {
    const { clock, model } = this.#options;
    if (!model.gradient) {
      const error = { code: 'FunctionFailed', message: 'the simulated model has no gradient' };
      return { kind: 'returned', output: { error }, initMs: 0 };
    }
    const times = [1, 2, 4].map((count) => ({ memoryMib, samples: count * samples, ...model.gradient!(count * samples, memoryMib) }));
    await clock.sleep(
      times.reduce((sum, { computeMs }) => sum + 3 * computeMs, 0),
      1,
    );
    return { kind: 'returned', output: { samples: times } satisfies MicroProbeAnswer, initMs: 0 };
  }

  #round(key: string, { run, track, round }: { run: string; track: string; round: number }, decided: boolean): Promise<SimulatedRound> {
    const known = this.#rounds.get(key);
    if (known) return known;
    const opened = this.#openRound(key, { run, track, round });
    if (!decided) this.#rounds.set(key, opened);
    return decided ? opened.then((one) => (one.decide(), one)) : opened;
  }

  async #openRound(key: string, { run, track, round }: { run: string; track: string; round: number }): Promise<SimulatedRound> {
    const { model, clock, objects, gatherMs = 2_000 } = this.#options;
    const plan = RoundPlan.parse(JSON.parse(new TextDecoder().decode(await objects.get(names.plan({ run, track }, round)))));
    if (this.#rounds.has(key)) this.#plans.set(key, plan);
    return new SimulatedRound({
      plan,
      model: model.round(plan, await clock.now()),
      clock,
      timeoutMs: this.limits.timeoutMs,
      memoryMib: plan.allocation.memoryMib,
      gatherMs,
      onFinished: async () => {
        const shape = shapeOf(plan, model.program.bufferCount);
        await Promise.all(checkpointNames(plan, plan.last, shape).map((name) => objects.putValue(name, this.#value(plan, plan.last, name))));
      },
    });
  }

  async #answer(role: Exclude<FunctionRole, 'train'>, memoryMib: number, payload: unknown): Promise<Answered> {
    const { clock, model } = this.#options;
    await clock.sleep(model.durationMs(role, memoryMib), 1);
    return { kind: 'returned', output: await this.#outputOf(role, payload), initMs: 0 };
  }

  #outputOf(role: Exclude<FunctionRole, 'train'>, payload: unknown): Promise<unknown> {
    switch (role) {
      case 'prepare':
        return this.#prepare();
      case 'evaluate':
        return this.#evaluate(EvaluateRequest.parse(payload));
      case 'export': {
        const { name, weights } = ExportRequest.parse(payload);
        const version = `simulated-${weights.round}`;
        return Promise.resolve({ version, modelName: name, weightsSha256: `${weights.track}-${weights.round}` } satisfies ExportAnswer);
      }
      case 'predict': {
        const { inputs } = PredictRequest.parse(payload);
        return Promise.resolve({ outputs: outputsOf(inputs.length), version: 'simulated' } satisfies PredictAnswer);
      }
    }
  }

  async #prepare(): Promise<PrepareAnswer> {
    const { model, objects } = this.#options;
    const { program } = model;
    const digest = 'simulated-program';
    const file = (name: string) => names.program(digest, name);
    const stored: Program = {
      ...{ formatVersion: 1, digest, loss: 'softmax-cross-entropy', params: [], buffers: [], blockElements: 65_536, featureShape: [1] },
      ...{ target: { kind: 'class', classes: ANSWER_WIDTH }, noise: [], trainingGraphs: {}, forwardGraph: file('forward.onnx') },
      ...{ initialParams: file('params'), initialBuffers: file('buffers'), ...program },
    };
    for (const name of [stored.initialParams, stored.initialBuffers]) await objects.putValue(name, new TextEncoder().encode(name));
    await objects.putValue(file('program.json'), new TextEncoder().encode(JSON.stringify(stored)));
    return { programDigest: digest, ...program, dataSha256: 'simulated-data', samples: model.samples };
  }

  async #evaluate({ weights, start, end, saveOutputs }: EvaluateRequest): Promise<EvaluateAnswer> {
    const { objects, model } = this.#options;
    const bytes = await objects.get(names.manifest(weights, weights.round));
    const { step } = RoundManifest.parse(JSON.parse(new TextDecoder().decode(bytes)));
    return { sums: model.evaluate(step, end - start), outputs: outputsOf(Math.min(saveOutputs, end - start)) };
  }
}

/** Who dies has read, and written nothing. */
const requestsOf = (role: FunctionRole, kind: Invocation['kind']): StoreRequests =>
  role !== 'train' ? OTHER_REQUESTS : kind === 'returned' ? TURN_REQUESTS : { ...TURN_REQUESTS, puts: 0 };

/** How a function ended that is no part of a round. */
interface Answered {
  readonly kind: 'returned';
  readonly output: unknown;
  readonly initMs: number;
}

const outputsOf = (samples: number): number[][] => Array.from({ length: samples }, () => new Array<number>(ANSWER_WIDTH).fill(1 / ANSWER_WIDTH));
