import { Context } from '@temporalio/activity';
import { z } from 'zod';
import { addBills, Bill, noBill } from '../contracts/money';
import { Failure } from '../contracts/round';
import type { FunctionSpec, Invocation } from '../platforms/platform';
import { billOfInvocation, lostBill } from './bills';
import type { EngineDependencies } from './dependencies';
import { tellWithHeartbeats } from './heartbeats';
import { unheardOfOthers, type Unheard } from './lost-requests';

/** How an invocation ended, once its answer is read: `answer` is what the function returned, whole and typed. */
export type Answered<T> =
  | { readonly kind: 'answered'; readonly answer: T; readonly bill: Bill }
  | { readonly kind: 'failed'; readonly error: Failure; readonly bill: Bill }
  | { readonly kind: 'crashed'; readonly message: string; readonly bill: Bill }
  | { readonly kind: 'outOfMemory'; readonly memoryMib: number; readonly bill: Bill }
  | { readonly kind: 'timedOut'; readonly bill: Bill };

const Refusal = z.object({ error: Failure });
/** `bill`: what earlier attempts lost. Without `invokedAtMs` nothing was left running. */
const Beat = z.object({ bill: Bill, invokedAtMs: z.number().optional() });

/**
 * Invokes a function and waits for its answer. Heartbeats carry the time of invoking, so that an attempt after a Temporal
 * worker's death charges what its predecessor left running; an attempt that the platform refused ran nothing, and says so
 * in its last heartbeat.
 */
export async function invokeFunction<S extends z.ZodType>(
  engine: EngineDependencies,
  spec: FunctionSpec,
  payload: unknown,
  schema: S,
  unheard: Unheard = unheardOfOthers(engine.store),
): Promise<Answered<z.output<S>>> {
  const activity = Context.current();
  const before = Beat.safeParse(activity.info.heartbeatDetails).data ?? { bill: noBill };
  const lost = before.invokedAtMs === undefined ? noBill : await lostBill(engine, before.invokedAtMs, spec.memoryMib, unheard);
  const carried = addBills(before.bill, lost);
  const invokedAtMs = engine.nowMs();
  tellWithHeartbeats(() => ({ bill: carried, invokedAtMs }));
  try {
    const answered = await callFunction(engine, spec, payload, schema, unheard);
    return { ...answered, bill: addBills(carried, answered.bill) };
  } catch (error) {
    tellWithHeartbeats(() => ({ bill: carried }));
    throw error;
  }
}

/** One invocation and its bill, without a word to Temporal. */
export async function callFunction<S extends z.ZodType>(
  { platform }: EngineDependencies,
  spec: FunctionSpec,
  payload: unknown,
  schema: S,
  unheard: Unheard,
): Promise<Answered<z.output<S>>> {
  const invocation = await platform.invoke(await platform.ensure(spec), payload);
  return read(invocation, schema, await billOfInvocation(invocation, platform.prices, unheard));
}

function read<S extends z.ZodType>(invocation: Invocation, schema: S, bill: Bill): Answered<z.output<S>> {
  switch (invocation.kind) {
    case 'returned': {
      const refusal = Refusal.safeParse(invocation.output);
      if (refusal.success) return { kind: 'failed', error: refusal.data.error, bill };
      const answer = schema.safeParse(invocation.output);
      if (answer.success) return { kind: 'answered', answer: answer.data, bill };
      return {
        kind: 'failed',
        error: { code: 'FunctionFailed', message: `the function's answer is not what its role promises: ${z.prettifyError(answer.error)}` },
        bill,
      };
    }
    case 'failed':
      return { kind: 'crashed', message: `${invocation.errorType}: ${invocation.message}`, bill };
    case 'crashed':
      return { kind: 'crashed', message: invocation.message, bill };
    case 'outOfMemory':
      return { kind: 'outOfMemory', memoryMib: invocation.usage.memoryMib, bill };
    case 'timedOut':
      return { kind: 'timedOut', bill };
  }
}
