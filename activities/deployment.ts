import { SmltError } from '../contracts/errors';
import { EvaluateAnswer, ExportAnswer, modelFunctionName, PredictAnswer, type PythonRuntime, type WeightsReference } from '../contracts/functions';
import { names } from '../contracts/names';
import type { Bill } from '../contracts/money';
import type { Job } from '../contracts/job';
import type { EngineDependencies } from './dependencies';
import { billOfInvocation } from './bills';
import { invokeFunction, type Answered } from './invocation';
import { unheardOfOthers } from './lost-requests';
import { encodeRecord, readRecord } from './records';
import { CHECKED_OUTPUTS } from './evaluation';

const EXPORT_MEMORY_MIB = 1_769;
const PREDICT_MEMORY_MIB = 1_769;
/** A deployed model computes the same graph as evaluate, in batches of another size: float32 kernels may round differently. */
const OUTPUT_TOLERANCE = 1e-4;

export interface PublishedModel {
  readonly functionName: string;
  readonly lambdaVersion: string;
  /** The version that served before; null for the first deployment. */
  readonly before: string | null;
}
export type ModelCheck = { readonly passed: boolean; readonly reason: string; readonly bill: Bill };

export function createDeploymentActivities(engine: EngineDependencies) {
  const { store, platform } = engine;
  const predictSpec = (name: string, version: string, python: PythonRuntime | undefined) => ({
    role: 'predict' as const,
    name: modelFunctionName(name),
    memoryMib: PREDICT_MEMORY_MIB,
    timeoutMs: 30_000,
    ...(python && { python }),
    environment: { SMLT_STORE_URI: store.uri, SMLT_MODEL_NAME: name, SMLT_MODEL_VERSION: version },
  });
  return {
    /** Writes the inference model, its weights and its card under a version that is the digest of the model. */
    async exportModel({
      job,
      programDigest,
      weights,
      card,
      python,
    }: {
      job: Job;
      programDigest: string;
      weights: WeightsReference;
      card: Record<string, unknown>;
      python?: PythonRuntime | undefined;
    }): Promise<Answered<ExportAnswer>> {
      const name = job.deploy?.name ?? job.name;
      const request = { storeUri: store.uri, programDigest, weights, name, card: { ...card, job } };
      return invokeFunction(
        engine,
        { role: 'export', memoryMib: EXPORT_MEMORY_MIB, timeoutMs: platform.limits.timeoutMs, ...(python && { python }) },
        request,
        ExportAnswer,
      );
    },
    /** Creates or updates the predict function and publishes a version of it, without sending it traffic. */
    async publishModel({ name, version, python }: { name: string; version: string; python?: PythonRuntime | undefined }): Promise<PublishedModel> {
      const before = (await platform.live(modelFunctionName(name))) ?? null;
      const published = await platform.publish(predictSpec(name, version, python));
      return { functionName: published.reference.name, lambdaVersion: published.version, before };
    },
    /** Asks the new version for the answers that evaluate had for real samples. */
    async checkModel({
      name,
      lambdaVersion,
      weights,
      split,
      dataUri,
    }: {
      name: string;
      lambdaVersion: string;
      weights: WeightsReference;
      split: string;
      dataUri: string;
    }): Promise<ModelCheck> {
      const expected = (await readRecord(store, EvaluateAnswer, names.evaluation(weights.run, `${weights.track}-${weights.round}-${split}`, 0)))
        .outputs;
      const inputs = await engine.readSamples(dataUri, Math.min(CHECKED_OUTPUTS, expected.length));
      const invocation = await platform.invoke(
        { name: modelFunctionName(name), qualifier: lambdaVersion, memoryMib: PREDICT_MEMORY_MIB },
        { inputs },
      );
      const bill = await billOfInvocation(invocation, platform.prices, unheardOfOthers(store));
      const answer = invocation.kind === 'returned' ? PredictAnswer.safeParse(invocation.output) : undefined;
      if (!answer?.success)
        return {
          passed: false,
          reason: `the new version did not answer: ${invocation.kind === 'returned' ? JSON.stringify(invocation.output).slice(0, 300) : invocation.message}`,
          bill,
        };
      const worst = largestDifference(expected, answer.data.outputs);
      const passed = worst <= OUTPUT_TOLERANCE;
      return {
        passed,
        reason: `${inputs.length} samples answered ${worst === 0 ? 'as in evaluate' : `with at most ${worst.toExponential(1)} of difference from evaluate (allowed ${OUTPUT_TOLERANCE})`}`,
        bill,
      };
    },
    /** Sends a share of the traffic to a version; weight 1 makes it the live one. */
    async shiftTraffic({ name, lambdaVersion, weight }: { name: string; lambdaVersion: string; weight: number }): Promise<void> {
      await platform.shift(modelFunctionName(name), lambdaVersion, weight);
    },
    /** Records the live version beside the models, for readers that have no platform. */
    async keepDeployment({
      name,
      version,
      file = 'model.onnx',
      functionName,
      run,
    }: {
      name: string;
      version: string;
      file?: string | undefined;
      functionName: string;
      run: string;
    }): Promise<string> {
      await store.replace(names.model(name, 'live', 'deployment.json'), encodeRecord({ name, version, functionName, run }));
      return `${store.uri}/${names.model(name, version, file)}`;
    },
  };
}

function largestDifference(expected: readonly (readonly number[])[], got: readonly (readonly number[])[]): number {
  if (expected.length !== got.length)
    throw new SmltError('FunctionFailed', `the deployed model answered ${got.length} samples, expected ${expected.length}`);
  const differences = expected.flatMap((row, i) =>
    row.map((value, j) => Math.abs(value - (got[i]?.[j] ?? Number.NaN)) / Math.max(1, Math.abs(value))),
  );
  return differences.some(Number.isNaN) ? Infinity : Math.max(0, ...differences);
}
