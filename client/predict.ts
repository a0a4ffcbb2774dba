import { modelFunctionName, PredictAnswer, PredictRequest } from '../contracts/functions';
import { SmltError } from '../contracts/errors';
import { openPlatform } from '../platforms';

export interface PredictOptions {
  /** The embedded Lambda server; left out: AWS Lambda. */
  readonly endpoint: string | undefined;
  readonly roleArn?: string | undefined;
}

/** Asks a deployed model. @throws {SmltError} `NotDeployed`, `InvalidSpec` for samples of another shape, `FunctionFailed` */
export async function predict(name: string, inputs: number[][], { endpoint, roleArn }: PredictOptions): Promise<PredictAnswer> {
  // Only invoked, never deployed from here, so there is no code to bring along.
  const platform = await openPlatform({
    zipPath: '',
    codeSha256: '',
    ...(endpoint !== undefined && { endpoint }),
    ...(roleArn !== undefined && { roleArn }),
  });
  const functionName = modelFunctionName(name);
  if ((await platform.live(functionName)) === undefined)
    throw new SmltError('NotDeployed', `no model ${name} is deployed (function ${functionName}, alias live).`);
  const memoryMib = platform.limits.minMemoryMib; // only a lost report would be billed by it
  const invocation = await platform.invoke({ name: functionName, qualifier: 'live', memoryMib }, PredictRequest.parse({ inputs }));
  if (invocation.kind !== 'returned') throw new SmltError('FunctionFailed', `${functionName}: ${invocation.message}`);
  const { output } = invocation;
  const refused = (output as { error?: { code?: string; message?: string } } | null)?.error;
  if (refused) throw new SmltError('InvalidSpec', `${functionName}: ${refused.message ?? JSON.stringify(refused)}`);
  return PredictAnswer.parse(output);
}
