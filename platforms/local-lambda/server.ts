import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { ApiError, invalidContent, notFound, throttled, tooLarge } from './api-error';
import { CodeStore, MAX_CODE_REQUEST_BYTES } from './code-store';
import { controlRoutes } from './control-api';
import { FaultPlan, Faults, type FaultRule } from './faults';
import { functionArn, parseFunctionName } from './function-name';
import { readBody } from './http-body';
import { MAX_PAYLOAD_BYTES } from './instance';
import { Invoker, type Outcome } from './invoker';
import { programPath } from './program-path';
import { Registry } from './registry';
import type { InvocationBill } from './report';
import { SupervisorClient } from './supervisor-client';

export interface LocalLambdaOptions {
  /** Functions, versions, aliases, code and logs; a server started here again knows them all. */
  readonly stateDir: string;
  /** 0, the default, lets the system choose. */
  readonly port?: number;
  /** Calls at a time over all functions. */
  readonly limits?: { readonly concurrency?: number };
  /** How long an instance stays warm without a call. */
  readonly idleMs?: number;
  /** Gives functions below 1,769 MiB only their share of a core, as Lambda does. */
  readonly throttleCpu?: boolean;
  readonly faults?: readonly FaultRule[];
  onInvocation?(bill: InvocationBill): void;
}

export interface LocalLambda {
  readonly endpoint: string;
  readonly port: number;
  /** Every finished invocation, oldest first. */
  bills(): readonly InvocationBill[];
  instances(): readonly InstanceStatus[];
  setFaults(plan: readonly FaultRule[]): void;
  close(): Promise<void>;
}

export interface InstanceStatus {
  readonly pid: number | undefined;
  readonly function: string;
  readonly version: string;
  readonly memoryMib: number;
  readonly state: 'starting' | 'idle' | 'busy' | 'finishing';
  readonly requestId: string | undefined;
}

const DEFAULT_CONCURRENCY = 128;
const DEFAULT_IDLE_MS = 300_000;
const MAX_BILLS = 200_000;
const MAX_EVENT_BYTES = 1_048_576;

/** An embedded server that speaks AWS Lambda's API on loopback and runs each function in processes of its own. */
export async function startLocalLambda(options: LocalLambdaOptions): Promise<LocalLambda> {
  const stateDir = resolve(options.stateDir);
  const concurrency = options.limits?.concurrency ?? DEFAULT_CONCURRENCY;
  mkdirSync(join(stateDir, 'logs'), { recursive: true });
  programPath('bootstrap'); // fails here and now when it can't be made
  const registry = new Registry(join(stateDir, 'functions.json'));
  const code = new CodeStore(join(stateDir, 'code'));
  const faults = new Faults();
  faults.set(options.faults ?? []);
  const bills: InvocationBill[] = [];
  const supervisor = new SupervisorClient(join(stateDir, 'logs', 'supervisor.log'));
  const invoker = new Invoker({
    supervisor,
    code,
    logFolder: join(stateDir, 'logs'),
    concurrency,
    idleMs: options.idleMs ?? DEFAULT_IDLE_MS,
    throttleCpu: options.throttleCpu ?? true,
    onBill: (bill) => {
      bills.push(bill);
      if (bills.length > MAX_BILLS) bills.shift();
      options.onInvocation?.(bill);
    },
  });
  const instances = (): InstanceStatus[] =>
    invoker.instances().map((instance) => ({
      pid: instance.pid,
      function: instance.functionName,
      version: instance.version.version,
      memoryMib: instance.version.memoryMib,
      state: instance.state,
      requestId: instance.currentRequestId,
    }));
  const routes = controlRoutes({ registry, code, invoker, concurrency }).map(([pattern, handle]) => {
    const [method = '', path = ''] = pattern.split(' ');
    return { method, path: new RegExp(`^${path.replace(/:[a-z]+/g, '([^/]+)')}/?$`), handle };
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    try {
      const url = new URL(request.url ?? '/', 'http://local');
      // A web page may send simple requests to loopback, but it can't sign them: whoever creates functions runs code here.
      if (request.headers.origin !== undefined) throw new ApiError(403, 'AccessDeniedException', 'This server does not serve web pages');
      if (url.pathname.startsWith('/smlt/')) return await servePrivate(request, response, url);
      if (!/^AWS4-/.test(request.headers.authorization ?? ''))
        throw new ApiError(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');
      const invoked = /^\/2015-03-31\/functions\/([^/]+)\/invocations\/?$/.exec(url.pathname)?.[1];
      if (invoked !== undefined && request.method === 'POST')
        return await serveInvoke(request, response, url, decodeURIComponent(invoked), requestId);
      const body = await readBody(request, MAX_CODE_REQUEST_BYTES);
      for (const { method, path, handle } of routes) {
        const match = path.exec(url.pathname);
        if (!match || request.method !== method) continue;
        const parts = match.slice(1).map(decodeURIComponent);
        const answer = await handle({ method, path: url.pathname, query: url.searchParams, body, endpoint: `http://127.0.0.1:${port}` }, ...parts);
        return send(response, answer.status, answer.body, { 'x-amzn-requestid': requestId });
      }
      throw notFound(`The embedded Lambda server has no operation ${request.method} ${url.pathname}`);
    } catch (error) {
      sendError(response, error, requestId);
    }
  }

  async function serveInvoke(request: IncomingMessage, response: ServerResponse, url: URL, text: string, requestId: string): Promise<void> {
    const kind = String(request.headers['x-amz-invocation-type'] ?? 'RequestResponse');
    const body = await readBody(request, kind === 'Event' ? MAX_EVENT_BYTES : MAX_PAYLOAD_BYTES);
    if (body === 'tooLarge') throw tooLarge(kind === 'Event' ? MAX_EVENT_BYTES : 6_291_456, 'InvokeFunction');
    const target = parseFunctionName(text, url.searchParams.get('Qualifier') ?? undefined);
    const stored = registry.get(target.name);
    const version = registry.resolve(target, Math.random());
    const payload = body.length === 0 ? Buffer.from('{}') : body;
    try {
      JSON.parse(payload.toString('utf8'));
    } catch (error) {
      throw invalidContent(`Could not parse request body into json: ${(error as Error).message}`);
    }
    if (kind === 'DryRun') return send(response, 204, undefined, { 'x-amz-executed-version': version.version });
    const fault = faults.next(target.name, payload);
    if (fault?.kind === 'throttle') throw throttled('ConcurrentInvocationLimitExceeded');
    if (fault?.kind === 'serverError') throw new ApiError(500, 'ServiceException', 'An internal error occurred, by the fault plan');
    const running = invoker.invoke({
      functionName: target.name,
      version,
      arn: functionArn(target.name, target.qualifier),
      payload,
      reservedConcurrency: stored.reservedConcurrency,
      reservedByAll: registry.list().reduce((sum, { reservedConcurrency = 0 }) => sum + reservedConcurrency, 0),
      fault,
    });
    if (kind === 'Event') {
      running.catch(() => undefined); // answered before it ran; tried once, where AWS tries three times
      return send(response, 202, undefined, { 'x-amz-executed-version': version.version });
    }
    const outcome: Outcome = await running;
    if (fault?.kind === 'dropConnection') {
      response.destroy();
      return;
    }
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': outcome.body.length,
      'x-amzn-requestid': requestId,
      'x-amz-executed-version': version.version,
      ...(outcome.functionError ? { 'x-amz-function-error': 'Unhandled' } : {}),
      ...(request.headers['x-amz-log-type'] === 'Tail' ? { 'x-amz-log-result': outcome.logTail.toString('base64') } : {}),
    });
    response.end(outcome.body);
  }

  async function servePrivate(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const body = await readBody(request, MAX_PAYLOAD_BYTES);
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /smlt/health':
        return send(response, 200, { pid: process.pid, stateDir, functions: registry.list().length, instances: instances().length });
      case 'GET /smlt/bills':
        return send(response, 200, bills);
      case 'GET /smlt/instances':
        return send(response, 200, instances());
      case 'GET /smlt/faults':
        return send(response, 200, faults.counts());
      case 'PUT /smlt/faults': {
        const plan = FaultPlan.safeParse(body === 'tooLarge' ? undefined : parseJson(body));
        if (!plan.success) return send(response, 400, { message: z.prettifyError(plan.error) });
        faults.set(plan.data);
        return send(response, 200, faults.counts());
      }
    }
    const sha256 = /^\/smlt\/code\/([0-9a-f]{64})\.zip$/.exec(url.pathname)?.[1];
    const zip = sha256 === undefined ? undefined : code.read(sha256);
    if (request.method === 'GET' && zip) {
      response.writeHead(200, { 'content-type': 'application/zip', 'content-length': zip.length }).end(zip);
      return;
    }
    throw notFound(`The embedded Lambda server has no ${request.method} ${url.pathname}`);
  }

  const server = createServer((request, response) => void serve(request, response));
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0; // a client may hold a connection between two rounds for minutes
  await new Promise<void>((done, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new SmltError('AlreadyRunning', `port ${options.port} on 127.0.0.1 is taken; give the Lambda server another one, or 0 for any free one`, {
              cause: error,
            })
          : error,
      ),
    );
    server.listen(options.port ?? 0, '127.0.0.1', done);
  });
  const { port } = server.address() as AddressInfo;
  code.keepOnly(registry.usedCode()); // after the port is ours: another server here would have refused us

  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    bills: () => bills,
    instances,
    setFaults: (plan) => faults.set(plan),
    close: async () => {
      server.close();
      await invoker.close();
      await supervisor.close();
      server.closeAllConnections();
    },
  };
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  if (body === undefined) response.writeHead(status, headers).end();
  else response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: unknown, requestId: string): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const api =
    error instanceof ApiError
      ? error
      : new ApiError(500, 'ServiceException', error instanceof Error ? error.message : String(error), { Type: 'Service' });
  send(
    response,
    api.status,
    { ...api.extra, message: api.message },
    { 'x-amzn-errortype': api.type, 'x-amzn-requestid': requestId, ...(api.status === 429 ? { 'retry-after': '1' } : {}) },
  );
}
