import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import type { Failure } from '../contracts/round';
import { requestMeter } from './request-meter';

/** The part of Lambda's context that smlt uses. */
export interface Context {
  getRemainingTimeInMillis(): number;
}
export interface ErrorAnswer {
  readonly error: z.output<typeof Failure>;
}

/**
 * A serverless handler: parses its payload, and answers `{ error }` for what smlt understands (retryable or not). What
 * nobody expected crashes, so that the platform reports it and the next instance starts fresh.
 */
export function handler<Request extends z.ZodType, Answer>(
  schema: Request,
  run: (request: z.output<Request>, context: Context) => Promise<Answer>,
): (event: unknown, context: Context) => Promise<Answer | ErrorAnswer> {
  return async (event, context) => {
    const request = schema.safeParse(event);
    if (!request.success) return { error: { code: 'InvalidSpec', message: `payload of a function: ${z.prettifyError(request.error)}` } };
    const runId = runOf(request.data);
    if (runId !== undefined) console.log(`run=${runId}`);
    try {
      return await run(request.data, context);
    } catch (error) {
      if (error instanceof SmltError) return { error: { code: error.code, message: error.message } };
      throw error;
    } finally {
      requestMeter.end();
    }
  };
}

const OfRun = z.union([z.object({ run: z.string() }), z.object({ weights: z.object({ run: z.string() }) })]);

/** The run that a request belongs to: one line of the log says it, so that a run's invocations are found among all. */
function runOf(request: unknown): string | undefined {
  const named = OfRun.safeParse(request);
  if (!named.success) return undefined;
  return 'run' in named.data ? named.data.run : named.data.weights.run;
}
