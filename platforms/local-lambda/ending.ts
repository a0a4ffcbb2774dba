import type { Instance } from './instance';
import type { FunctionVersion } from './registry';
import type { InvocationBill } from './report';
import type { ExitedMessage } from './supervisor-protocol';

/** What Lambda answers for an instance that ended without a response: who ended it decides, then how its process exited. */
export function describeEnd(
  instance: Instance,
  { requestId, version }: { readonly requestId: string; readonly version: FunctionVersion },
  { code, signal, outOfMemory, failure }: Partial<ExitedMessage> & { failure?: string },
): { kind: InvocationBill['kind']; body: Buffer } {
  const prefix = `RequestId: ${requestId} Error: `;
  if (instance.killReason === 'timeout') {
    return { kind: 'timedOut', body: errorBody('Sandbox.Timedout', `${prefix}Task timed out after ${version.timeoutS.toFixed(2)} seconds`) };
  }
  if (outOfMemory || instance.killReason === 'memory') {
    return { kind: 'outOfMemory', body: errorBody('Runtime.ExitError', `${prefix}Runtime exited with error: signal: killed`) };
  }
  if (failure !== undefined) return { kind: 'crashed', body: errorBody('Runtime.InvalidEntrypoint', `${prefix}${failure}`) };
  if (instance.initErrorBody) return { kind: 'failed', body: instance.initErrorBody };
  if (signal !== null && signal !== undefined) {
    // V8 ends itself at its own heap limit, which is set from the function's memory.
    const heap = signal === 'SIGABRT' && instance.logTail().includes('heap out of memory');
    return {
      kind: heap ? 'outOfMemory' : 'crashed',
      body: errorBody('Runtime.ExitError', `${prefix}Runtime exited with error: signal: ${signalWord(signal)}`),
    };
  }
  const how = code === 0 ? 'Runtime exited without providing a reason' : `Runtime exited with error: exit status ${code}`;
  return { kind: 'crashed', body: errorBody('Runtime.ExitError', `${prefix}${how}`) };
}

export function errorBody(errorType: string, errorMessage: string): Buffer {
  return Buffer.from(JSON.stringify({ errorType, errorMessage }));
}

const signalWords: Readonly<Record<string, string>> = {
  SIGKILL: 'killed',
  SIGABRT: 'aborted (core dumped)',
  SIGSEGV: 'segmentation fault (core dumped)',
  SIGTERM: 'terminated',
  SIGBUS: 'bus error (core dumped)',
};
const signalWord = (signal: string): string => signalWords[signal] ?? signal.replace(/^SIG/, '').toLowerCase();
