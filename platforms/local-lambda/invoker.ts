import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MIB_PER_VCPU } from '../lambda/prices';
import { throttled } from './api-error';
import type { CodeStore } from './code-store';
import type { FaultAction } from './faults';
import { describeEnd, errorBody } from './ending';
import { Instance, MAX_PAYLOAD_BYTES, type InstanceEvents } from './instance';
import type { FunctionVersion } from './registry';
import { reportLine, type InvocationBill } from './report';
import { commandOf, environmentOf } from './runtime-process';
import type { SupervisorClient } from './supervisor-client';
import type { ExitedMessage } from './supervisor-protocol';

const INIT_LIMIT_MS = 10_000;
const KEPT_LOGS_PER_FUNCTION = 200;
/** With less memory left on this machine, a new instance takes the place of one that idles. */
const SCARCE_BYTES = 1_073_741_824;

export interface InvokerOptions {
  readonly supervisor: SupervisorClient;
  readonly code: CodeStore;
  readonly logFolder: string;
  readonly concurrency: number;
  readonly idleMs: number;
  readonly throttleCpu: boolean;
  onBill(bill: InvocationBill): void;
}

export interface Call {
  readonly functionName: string;
  readonly version: FunctionVersion;
  readonly arn: string;
  readonly payload: Buffer;
  readonly reservedConcurrency: number | undefined;
  /** What all functions together have reserved: calls of functions without a reservation share the rest. */
  readonly reservedByAll: number;
  readonly fault: FaultAction | undefined;
}

/** How a call that ran ended. `functionError` is set for everything but a returned value. */
export interface Outcome {
  readonly bill: InvocationBill;
  readonly body: Buffer;
  readonly functionError: boolean;
  readonly logTail: Buffer;
}

interface Running extends Call {
  readonly requestId: string;
  startedAtMs: number;
  startedAt: number;
  timer?: NodeJS.Timeout;
  resolve(outcome: Outcome): void;
  reject(error: Error): void;
}

/** The instances of one version. */
interface Pool {
  readonly key: string;
  readonly functionName: string;
  readonly version: FunctionVersion;
  readonly instances: Set<Instance>;
  readonly pending: Running[];
}

/** Brings calls and instances together: warm before cold, one call at a time an instance, everything that ran is billed. */
export class Invoker implements InstanceEvents {
  private readonly pools = new Map<string, Pool>();
  private readonly running = new Map<string, Running>();
  private readonly active = new Map<string, number>();
  private readonly idleTimers = new Map<Instance, NodeJS.Timeout>();
  private closing = false;
  private allEnded: (() => void) | undefined;

  constructor(private readonly options: InvokerOptions) {}

  instances(): Instance[] {
    return [...this.pools.values()].flatMap((pool) => [...pool.instances]);
  }

  /** @throws {ApiError} 429 when the function's or the account's concurrency is used up */
  async invoke(call: Call): Promise<Outcome> {
    this.admit(call);
    try {
      if (call.fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, call.fault?.kind === 'delay' ? call.fault.ms : 0));
      return await new Promise<Outcome>((resolve, reject) => {
        const pool = this.poolOf(call);
        pool.pending.push({ ...call, requestId: randomUUID(), startedAtMs: 0, startedAt: 0, resolve, reject });
        this.feed(pool);
      });
    } finally {
      this.active.set(call.functionName, (this.active.get(call.functionName) ?? 1) - 1);
    }
  }

  /** Kills the warm instances of a function that is gone or changed; busy ones end after their call. */
  retire(functionName: string, keep: ReadonlySet<string> = new Set()): void {
    for (const pool of this.pools.values()) {
      if (pool.functionName !== functionName || keep.has(pool.version.revisionId)) continue;
      for (const instance of pool.instances) if (instance.state === 'idle') instance.kill('idle');
    }
  }

  async close(): Promise<void> {
    this.closing = true;
    const live = this.instances();
    if (live.length === 0) return;
    const ended = new Promise<void>((resolve) => (this.allEnded = resolve));
    for (const instance of live) instance.kill('closing');
    await ended;
  }

  next(instance: Instance): void {
    const pool = this.poolWith(instance);
    if (!pool || instance.killReason !== undefined) return;
    if (instance.served === 0) this.options.supervisor.setBusy(instance.id, false);
    this.feed(pool);
    if (instance.state === 'idle') {
      const timer = setTimeout(() => instance.state === 'idle' && instance.kill('idle'), this.options.idleMs);
      this.idleTimers.set(instance, timer.unref());
    }
  }

  response(instance: Instance, body: Buffer | 'tooLarge'): void {
    const call = this.callOf(instance);
    if (!call) return;
    if (call.fault?.kind === 'killBeforeResponse') return instance.kill('fault');
    if (instance.measurePeakKib() > instance.version.memoryMib * 1_024) return instance.kill('memory');
    if (body !== 'tooLarge') return this.finish(instance, call, 'returned', body);
    this.finish(
      instance,
      call,
      'failed',
      errorBody('Function.ResponseSizeTooLarge', `Response payload size exceeded maximum allowed payload size (${MAX_PAYLOAD_BYTES} bytes).`),
    );
  }

  error(instance: Instance, body: Buffer): void {
    const call = this.callOf(instance);
    if (!call) return;
    if (call.fault?.kind === 'killBeforeResponse') return instance.kill('fault');
    this.finish(instance, call, 'failed', body);
  }

  initError(instance: Instance, body: Buffer): void {
    instance.initErrorBody = body;
  }

  private admit({ functionName, reservedConcurrency, reservedByAll }: Call): void {
    const mine = this.active.get(functionName) ?? 0;
    if (reservedConcurrency !== undefined) {
      if (mine >= reservedConcurrency) throw throttled('ReservedFunctionConcurrentInvocationLimitExceeded');
    } else {
      const all = [...this.active.values()].reduce((sum, count) => sum + count, 0);
      if (all >= this.options.concurrency - reservedByAll) throw throttled('ConcurrentInvocationLimitExceeded');
    }
    this.active.set(functionName, mine + 1);
  }

  private poolOf({ functionName, version }: Call): Pool {
    const key = `${functionName}:${version.version}:${version.revisionId}`;
    let pool = this.pools.get(key);
    if (!pool) {
      pool = { key, functionName, version, instances: new Set(), pending: [] };
      this.pools.set(key, pool);
    }
    return pool;
  }

  private poolWith(instance: Instance): Pool | undefined {
    return this.pools.get(`${instance.functionName}:${instance.version.version}:${instance.version.revisionId}`);
  }

  private callOf(instance: Instance): Running | undefined {
    return instance.currentRequestId === undefined ? undefined : this.running.get(instance.currentRequestId);
  }

  /** Gives pending calls to idle instances, the warmest first, and starts as many as are missing. */
  private feed(pool: Pool): void {
    const idle = [...pool.instances].filter((instance) => instance.state === 'idle' && instance.killReason === undefined);
    while (pool.pending.length > 0 && idle.length > 0) this.deliver(idle.pop() as Instance, pool.pending.shift() as Running);
    const coming = [...pool.instances].filter(({ state, killReason }) => (state === 'starting' || state === 'finishing') && killReason === undefined);
    for (let missing = pool.pending.length - coming.length; missing > 0 && !this.closing; missing -= 1) {
      try {
        this.start(pool);
      } catch (error) {
        // No room for a log, no file handles: nothing ran, so this is the service's failure and nobody's bill.
        pool.pending.shift()?.reject(error as Error);
      }
    }
  }

  private start(pool: Pool): void {
    const { version, functionName } = pool;
    if (process.availableMemory() < SCARCE_BYTES) this.longestIdle()?.kill('idle');
    const folder = join(this.options.logFolder, functionName);
    mkdirSync(folder, { recursive: true });
    dropOldLogs(folder);
    const id = `${new Date().toISOString().replace(/[-:.]/g, '')}-${randomUUID().slice(0, 8)}`;
    const instance = new Instance(id, functionName, version, join(folder, `${id}.log`), this);
    pool.instances.add(instance);
    // As on Lambda, loading may take 10 s; here also as long as a call may, since two cores may be loading ten instances.
    const overdue = setTimeout(() => instance.initMs === undefined && instance.kill('timeout'), Math.max(INIT_LIMIT_MS, version.timeoutS * 1_000));
    const end = (message: Partial<ExitedMessage> & { failure?: string }): void => {
      clearTimeout(overdue);
      this.ended(pool, instance, message);
    };
    instance.listen().then(
      (port) =>
        this.options.supervisor.start(
          {
            kind: 'start',
            id,
            ...commandOf(version, this.options.code.taskRoot(version.codeSha256)),
            env: environmentOf(functionName, version, this.options.code.taskRoot(version.codeSha256), port, id),
            cwd: this.options.code.taskRoot(version.codeSha256),
            logPath: instance.logPath,
            memoryLimitKib: version.memoryMib * 1_024,
            cpuShare: this.options.throttleCpu ? version.memoryMib / MIB_PER_VCPU : 1,
          },
          {
            started: (pid) => {
              instance.pid = pid;
              if (instance.killReason !== undefined) instance.kill(instance.killReason);
            },
            memory: (peakKib) => (instance.peakKib = Math.max(instance.peakKib, peakKib)),
            failed: (failure) => end({ failure }),
            exited: end,
          },
        ),
      (error: Error) => end({ failure: error.message }),
    );
  }

  /** Timers are kept in the order in which their instances became idle. */
  private longestIdle(): Instance | undefined {
    return [...this.idleTimers.keys()].find((instance) => instance.state === 'idle' && instance.killReason === undefined);
  }

  private deliver(instance: Instance, call: Running): void {
    clearTimeout(this.idleTimers.get(instance));
    this.idleTimers.delete(instance);
    const timeoutMs = call.version.timeoutS * 1_000;
    call.startedAtMs = Date.now();
    call.startedAt = performance.now();
    call.timer = setTimeout(() => instance.kill('timeout'), timeoutMs);
    this.running.set(call.requestId, call);
    this.options.supervisor.setBusy(instance.id, true);
    const faultPoint = call.fault?.kind === 'killAt' || call.fault?.kind === 'holdAt' ? call.fault : undefined;
    const { requestId, payload, arn } = call;
    instance.deliver({ requestId, payload, arn, deadlineAtMs: call.startedAtMs + timeoutMs, ...(faultPoint ? { faultPoint } : {}) });
    if (call.fault?.kind === 'kill') setTimeout(() => instance.currentRequestId === call.requestId && instance.kill('fault'), call.fault.afterMs);
  }

  private ended(pool: Pool, instance: Instance, message: Partial<ExitedMessage> & { failure?: string }): void {
    clearTimeout(this.idleTimers.get(instance));
    this.idleTimers.delete(instance);
    instance.pid = undefined;
    instance.peakKib = Math.max(instance.peakKib, message.peakKib ?? 0);
    pool.instances.delete(instance);
    const call = this.callOf(instance);
    // An instance that never came up takes one waiting call with it: so a function that can't start ends every call, and no loop.
    const victim = call ?? (instance.initMs === undefined ? pool.pending.shift() : undefined);
    if (victim) {
      const { kind, body } = describeEnd(instance, victim, message);
      this.finish(instance, victim, kind, body);
    }
    instance.dispose();
    if (pool.pending.length > 0) this.feed(pool);
    else if (pool.instances.size === 0) this.pools.delete(pool.key);
    if (this.closing && this.instances().length === 0) this.allEnded?.();
  }

  private finish(instance: Instance, call: Running, kind: InvocationBill['kind'], body: Buffer): void {
    clearTimeout(call.timer);
    this.running.delete(call.requestId);
    instance.currentRequestId = undefined;
    const ran = call.startedAt > 0;
    const durationMs = ran ? performance.now() - call.startedAt : 0;
    const cold = !ran || instance.served === 1;
    const initMs = cold ? (instance.initMs ?? performance.now() - instance.spawnedAt) : 0;
    const { memoryMib, version, timeoutS } = call.version;
    const usedMib = Math.ceil(instance.measurePeakKib() / 1_024);
    const chargedMs = kind === 'timedOut' && ran ? timeoutS * 1_000 : durationMs;
    const bill: InvocationBill = {
      requestId: call.requestId,
      function: call.functionName,
      version,
      kind,
      billedMs: Math.max(1, Math.ceil(chargedMs + initMs)),
      durationMs: chargedMs,
      initMs,
      memoryMib,
      maxMemoryMib: kind === 'outOfMemory' ? memoryMib : Math.min(usedMib, memoryMib),
      cold,
      startedAtMs: ran ? call.startedAtMs : Date.now() - initMs,
      finishedAtMs: Date.now(),
    };
    if (!ran) instance.print(`START RequestId: ${call.requestId} Version: ${version}\n`);
    if (kind === 'timedOut' || kind === 'crashed' || kind === 'outOfMemory')
      instance.print(`${(JSON.parse(body.toString()) as { errorMessage: string }).errorMessage}\n`);
    instance.print(`END RequestId: ${call.requestId}\n${reportLine(bill)}`);
    const logTail = instance.logTail();
    this.options.supervisor.setBusy(instance.id, false);
    this.options.onBill(bill);
    call.resolve({ bill, body, functionError: kind !== 'returned', logTail });
  }
}

function dropOldLogs(folder: string): void {
  const logs = readdirSync(folder).sort();
  for (const name of logs.slice(0, Math.max(0, logs.length - KEPT_LOGS_PER_FUNCTION))) rmSync(join(folder, name), { force: true });
}
