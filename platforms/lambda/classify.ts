import type { Invocation, Usage } from '../platform';

/** The error document that Lambda puts in place of an answer. */
interface FunctionErrorBody {
  readonly errorType: string;
  readonly message: string;
}

function readErrorBody(payload: string): FunctionErrorBody {
  try {
    const body = JSON.parse(payload) as { errorType?: unknown; errorMessage?: unknown };
    return { errorType: String(body.errorType ?? 'Unknown'), message: String(body.errorMessage ?? payload) };
  } catch {
    return { errorType: 'Unknown', message: payload };
  }
}

/**
 * Names the end of an invocation that carries a FunctionError. Out of memory and a crash both come as `Runtime.ExitError`:
 * what tells them apart is whether the memory used had reached the size.
 */
export function classifyFailure(payload: string, usage: Usage, logTail: string): Invocation {
  const { errorType, message } = readErrorBody(payload);
  if (errorType === 'Sandbox.Timedout' || /Task timed out after [0-9.]+ seconds/.test(message)) return { kind: 'timedOut', message, usage, logTail };
  if (errorType === 'Runtime.OutOfMemory') return { kind: 'outOfMemory', message, usage, logTail };
  const exited = errorType === 'Runtime.ExitError' || /Runtime exited (with error|without providing a reason)/.test(message);
  if (!exited) return { kind: 'failed', errorType, message, usage, logTail };
  const full = usage.maxMemoryMib >= usage.memoryMib || /heap out of memory/.test(logTail);
  return { kind: full && /signal: (killed|aborted)/.test(message) ? 'outOfMemory' : 'crashed', message, usage, logTail };
}
