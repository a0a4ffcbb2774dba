import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FaultAction } from './faults';
import { readBody } from './http-body';
import { hasProc, residentFromProc } from './memory';
import type { FunctionVersion } from './registry';
import { killGroup } from './supervisor-client';

/** Lambda's limit for an event and for an answer: 6 MiB and the envelope's 100 bytes. */
export const MAX_PAYLOAD_BYTES = 6_291_556;
const LOG_TAIL_BYTES = 4_096;

/** One call on its way through an instance. */
export interface Delivery {
  readonly requestId: string;
  readonly payload: Buffer;
  readonly arn: string;
  readonly deadlineAtMs: number;
  /** A fault that strikes inside the function. */
  readonly faultPoint?: FaultAction;
}

/** What the runtime in an instance says through the Runtime API. An answer decides how the Runtime API replies. */
export interface InstanceEvents {
  next(instance: Instance): void;
  response(instance: Instance, body: Buffer | 'tooLarge'): void;
  error(instance: Instance, body: Buffer): void;
  initError(instance: Instance, body: Buffer): void;
}

/** Why the server itself ended an instance. */
export type KillReason = 'timeout' | 'fault' | 'idle' | 'memory' | 'closing';

/** One process that serves one version, one call at a time, and the Runtime API on a port of its own. */
export class Instance {
  readonly spawnedAt = performance.now();
  pid: number | undefined;
  peakKib = 0;
  /** Set once its runtime asked for the first event; charged to the first call it serves. */
  initMs: number | undefined;
  served = 0;
  currentRequestId: string | undefined;
  killReason: KillReason | undefined;
  initErrorBody: Buffer | undefined;
  ended = false;
  private waiting: ServerResponse | undefined;
  private server: Server | undefined;
  private readonly log: number;
  private callLogStart = 0;

  constructor(
    readonly id: string,
    readonly functionName: string,
    readonly version: FunctionVersion,
    readonly logPath: string,
    private readonly events: InstanceEvents,
  ) {
    this.log = openSync(logPath, 'a+');
  }

  get state(): 'starting' | 'idle' | 'busy' | 'finishing' {
    if (this.initMs === undefined) return 'starting';
    if (this.currentRequestId !== undefined) return 'busy';
    return this.waiting && !this.waiting.destroyed ? 'idle' : 'finishing';
  }

  /** Opens this instance's Runtime API. @returns the port on loopback */
  async listen(): Promise<number> {
    const server = createServer((request, response) => {
      this.handle(request, response).catch(() => response.destroy());
    });
    server.keepAliveTimeout = 0; // a runtime may compute for minutes between two requests
    server.requestTimeout = 0;
    this.server = server;
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  /** Hands a call to the waiting runtime. Only when idle. */
  deliver({ requestId, payload, arn, deadlineAtMs, faultPoint }: Delivery): void {
    const response = this.waiting;
    this.waiting = undefined;
    this.currentRequestId = requestId;
    this.callLogStart = this.served === 0 ? 0 : fstatSync(this.log).size; // a cold call's log begins with the initialisation
    this.served += 1;
    this.print(`START RequestId: ${requestId} Version: ${this.version.version}\n`);
    response?.writeHead(200, {
      'content-type': 'application/json',
      'content-length': payload.length,
      'lambda-runtime-aws-request-id': requestId,
      'lambda-runtime-deadline-ms': String(Math.round(deadlineAtMs)),
      'lambda-runtime-invoked-function-arn': arn,
      'lambda-runtime-trace-id': `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${requestId.replaceAll('-', '').slice(0, 24)};Sampled=0`,
      ...(faultPoint ? { 'smlt-fault-point': JSON.stringify(faultPoint) } : {}),
    });
    response?.end(payload);
  }

  print(text: string): void {
    try {
      writeSync(this.log, text);
    } catch {
      // logs are the least of what a full disk breaks
    }
  }

  /** The last 4 KB of what the current call printed. */
  logTail(): Buffer {
    const end = fstatSync(this.log).size;
    const start = Math.min(end, Math.max(this.callLogStart, end - LOG_TAIL_BYTES)); // somebody may have emptied the file
    const tail = Buffer.alloc(end - start);
    return tail.subarray(0, readSync(this.log, tail, 0, tail.length, start));
  }

  /** Highest resident memory so far; on Linux as of now. */
  measurePeakKib(): number {
    if (hasProc && this.pid !== undefined) this.peakKib = Math.max(this.peakKib, residentFromProc(this.pid)?.peakKib ?? 0);
    return this.peakKib;
  }

  kill(reason: KillReason): void {
    this.killReason ??= reason;
    if (this.pid !== undefined && !this.ended) killGroup(this.pid);
  }

  dispose(): void {
    this.ended = true;
    this.server?.closeAllConnections();
    this.server?.close();
    closeSync(this.log);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0]?.replace(/^\/2018-06-01\/runtime\//, '') ?? '';
    if (request.method === 'GET' && path === 'invocation/next') {
      this.waiting = response;
      this.initMs ??= performance.now() - this.spawnedAt;
      this.events.next(this);
      return;
    }
    const [, requestId, verb] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    if (request.method === 'POST' && (verb !== undefined || path === 'init/error')) {
      const body = await readBody(request, MAX_PAYLOAD_BYTES);
      if (verb === undefined) {
        this.events.initError(this, body === 'tooLarge' ? Buffer.from('{}') : body);
        return reply(response, 202, { status: 'OK' });
      }
      if (requestId !== this.currentRequestId) return reply(response, 400, { errorType: 'InvalidRequestID', errorMessage: 'Invalid request ID' });
      if (verb === 'error') this.events.error(this, body === 'tooLarge' ? Buffer.from('{}') : body);
      else this.events.response(this, body);
      if (this.killReason !== undefined) return; // it is being killed at this very point: no reply
      return body === 'tooLarge'
        ? reply(response, 413, { errorType: 'RequestEntityTooLarge', errorMessage: 'Exceeded maximum allowed payload size' })
        : reply(response, 202, { status: 'OK' });
    }
    return reply(response, 404, { errorType: 'NotFound', errorMessage: `The Runtime API has no ${request.method} ${request.url}` });
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
