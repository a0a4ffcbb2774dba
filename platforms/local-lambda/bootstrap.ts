/**
 * Runs inside every Node instance: loads `_HANDLER` from the unpacked code and feeds it from the Runtime API.
 * Self-contained on purpose: it shares a process with users' code.
 */
import { existsSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { format } from 'node:util';

interface Context {
  readonly awsRequestId: string;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  callbackWaitsForEmptyEventLoop: boolean;
  getRemainingTimeInMillis(): number;
}
type Callback = (error: unknown, result?: unknown) => void;
type Handler = (event: unknown, context: Context, callback: Callback) => unknown;

const env = (name: string): string => process.env[name] ?? '';
const [host = '127.0.0.1', port = '80'] = env('AWS_LAMBDA_RUNTIME_API').split(':');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let requestId = '';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

function call(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, agent, method, path: `/2018-06-01/runtime/${path}`, headers }, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on('data', (part: Buffer) => parts.push(part));
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(parts).toString('utf8') }));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function describeError(error: unknown): { errorType: string; errorMessage: string; trace: string[] } {
  if (error instanceof Error || (typeof error === 'object' && error !== null && 'message' in error)) {
    const { name, message, stack } = error as Error;
    return { errorType: name || 'Error', errorMessage: String(message), trace: (stack ?? '').split('\n') };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

async function postError(path: string, error: unknown, errorType?: string): Promise<void> {
  const described = describeError(error);
  const body = { ...described, errorType: errorType ?? described.errorType };
  console.error(errorType === undefined ? 'Invoke Error' : 'Uncaught Exception', JSON.stringify(body));
  await call('POST', path, JSON.stringify(body), {
    'content-type': 'application/json',
    'lambda-runtime-function-error-type': body.errorType.replace(/[^\x20-\x7e]/g, '?'),
  });
}

/** As Lambda's own Node runtime prints it: time, request, level, text. Written at once, so that a kill loses nothing. */
function patchConsole(): void {
  const printer =
    (level: string) =>
    (...values: unknown[]): void => {
      try {
        writeSync(1, `${new Date().toISOString()}\t${requestId || 'undefined'}\t${level}\t${format(...values)}\n`);
      } catch {
        // a full disk must not end the function
      }
    };
  console.log = printer('INFO');
  console.info = printer('INFO');
  console.warn = printer('WARN');
  console.error = printer('ERROR');
  console.debug = printer('DEBUG');
  console.trace = printer('TRACE');
}

function runtimeError(type: string, message: string): Error {
  return Object.assign(new Error(message), { name: type });
}

async function loadHandler(): Promise<Handler> {
  const name = env('_HANDLER');
  const match = /^((?:.*\/)?[^./]+)\.(.+)$/.exec(name);
  if (!match) throw runtimeError('Runtime.MalformedHandlerName', `Bad handler: ${name}, expected file.export`);
  const [, file = '', exported = ''] = match;
  const path = ['.js', '.cjs', '.mjs'].map((end) => join(env('LAMBDA_TASK_ROOT'), `${file}${end}`)).find((candidate) => existsSync(candidate));
  if (path === undefined) throw runtimeError('Runtime.ImportModuleError', `Error: Cannot find module '${file}'`);
  let module: unknown;
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- users' code is found at run time, and most of it is CommonJS
    module = path.endsWith('.mjs') ? await import(path) : require(path);
  } catch (error) {
    if (error instanceof SyntaxError) error.name = 'Runtime.UserCodeSyntaxError';
    else if ((error as NodeJS.ErrnoException | null)?.code === 'MODULE_NOT_FOUND') (error as Error).name = 'Runtime.ImportModuleError';
    throw error;
  }
  const handler = exported.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], module);
  if (handler === undefined) throw runtimeError('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw runtimeError('Runtime.HandlerNotFound', `${name} is not a function`);
  return handler as Handler;
}

function runHandler(handler: Handler, event: unknown, context: Context): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const callback: Callback = (error, result) => (error === undefined || error === null ? resolve(result) : reject(error));
    const returned = handler(event, context, callback);
    if (returned instanceof Promise || typeof (returned as Promise<unknown> | undefined)?.then === 'function') resolve(returned);
    else if (handler.length < 3) resolve(returned);
  });
}

/** Where a function says which point it passes, a fault of the server's plan may strike it: by SIGKILL, or by a pause. */
function armFaultPoint(header: string): void {
  const passing = Symbol.for('smlt.passing');
  const held = globalThis as { [passing]?: unknown };
  if (header === '') {
    delete held[passing];
    return;
  }
  const fault = JSON.parse(header) as { kind: string; point: string; step?: number; ms?: number };
  let armed = true;
  held[passing] = async (point: string, step: number): Promise<void> => {
    if (!armed || point !== fault.point || (fault.step !== undefined && fault.step !== step)) return;
    armed = false;
    console.log(`fault ${fault.kind} at ${point}, step ${step}`);
    if (fault.kind === 'killAt') process.kill(process.pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, fault.ms ?? 60_000));
  };
}

async function answerOne(handler: Handler): Promise<void> {
  const next = await call('GET', 'invocation/next');
  if (next.status !== 200) throw new Error(`the Runtime API answered ${next.status} to next: ${next.body}`);
  const header = (name: string): string => String(next.headers[name] ?? '');
  requestId = header('lambda-runtime-aws-request-id');
  armFaultPoint(header('smlt-fault-point'));
  const deadlineAtMs = Number(header('lambda-runtime-deadline-ms'));
  const context: Context = {
    awsRequestId: requestId,
    functionName: env('AWS_LAMBDA_FUNCTION_NAME'),
    functionVersion: env('AWS_LAMBDA_FUNCTION_VERSION'),
    invokedFunctionArn: header('lambda-runtime-invoked-function-arn'),
    memoryLimitInMB: env('AWS_LAMBDA_FUNCTION_MEMORY_SIZE'),
    logGroupName: env('AWS_LAMBDA_LOG_GROUP_NAME'),
    logStreamName: env('AWS_LAMBDA_LOG_STREAM_NAME'),
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => deadlineAtMs - Date.now(),
  };
  let body: string;
  try {
    const result = await runHandler(handler, JSON.parse(next.body), context);
    body = JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch (error) {
    await postError(`invocation/${requestId}/error`, error);
    return;
  }
  await call('POST', `invocation/${requestId}/response`, body, { 'content-type': 'application/json' });
}

async function endBy(error: unknown, type: string, exitCode: number): Promise<void> {
  await postError(requestId === '' ? 'init/error' : `invocation/${requestId}/error`, error, type).catch(() => undefined);
  process.exit(exitCode);
}

async function main(): Promise<void> {
  patchConsole();
  // The supervisor holds the other end: when it is gone, nobody wants this instance any more.
  process.stdin.on('error', () => process.exit(1)).on('close', () => process.exit(1));
  process.stdin.resume();
  process.on('uncaughtException', (error) => void endBy(error, describeError(error).errorType, 129));
  process.on('unhandledRejection', (error) => void endBy(error, 'Runtime.UnhandledPromiseRejection', 128));
  let handler: Handler;
  try {
    handler = await loadHandler();
  } catch (error) {
    await postError('init/error', error).catch(() => undefined);
    process.exit(1);
  }
  for (;;) await answerOne(handler);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
