import { SmltError } from '../contracts/errors';
import type { EvaluateAnswer, EvaluateRequest, MetricSums } from '../contracts/functions';
import { names } from '../contracts/names';
import { measure, mergeSums } from '../training/metrics';
import type { ForwardSession } from './compute';
import { DataSet } from './data-set';
import { Lru } from './lru';
import { readProgram } from './program';
import { readWeights } from './weights';
import type { World } from './world';

/** Fixed, so that memory stays bounded; sums are exact, so it does not change the answer. */
const FORWARD_SAMPLES = 256;
const FORWARD_OUTPUTS = 2 ** 24;
const samplesAtOnce = (outputShape: readonly number[] = []) =>
  Math.max(1, Math.min(FORWARD_SAMPLES, Math.floor(FORWARD_OUTPUTS / outputShape.reduce((product, axis) => product * axis, 1))));
const sessions = new Lru<ForwardSession>(2);
const weights = new Lru<{ params: Float32Array; buffers: Float32Array }>(1);

/** Measures a stretch of a data set with a committed round's weights. */
export async function evaluateWeights(world: World, request: EvaluateRequest): Promise<EvaluateAnswer> {
  const store = await world.store(request.storeUri);
  const program = await readProgram(store, request.programDigest);
  const { params, buffers } = await weights.remember(`${store.uri} ${program.digest} ${names.manifest(request.weights, request.weights.round)}`, () =>
    readWeights(store, program, request.weights),
  );
  const session = await sessions.remember(`${store.uri} ${program.digest}`, () => world.compute.openForward(store, program));
  const data = await DataSet.open(world, request.dataUri);
  const { manifest } = data;
  checkSame(program, manifest, request.dataUri);
  if (request.start < 0 || request.end > manifest.samples || request.start >= request.end)
    throw new SmltError('InvalidSpec', `samples ${request.start}-${request.end} of ${request.dataUri}: expected a part of 0-${manifest.samples}`);
  const samples = await data.load([{ start: request.start, end: request.end }]);

  const width = program.featureShape.reduce((product, size) => product * size, 1);
  const atOnce = samplesAtOnce(program.outputShape);
  const parts: MetricSums[] = [];
  const outputs: number[][] = [];
  for (let start = request.start; start < request.end; start += atOnce) {
    const count = Math.min(atOnce, request.end - start);
    const features = new Float32Array(count * width);
    const targets = program.target.kind === 'class' ? new Int32Array(count) : new Float32Array(count * program.target.width);
    samples.gather(
      Array.from({ length: count }, (_, i) => start + i),
      features,
      targets,
    );
    const { outputs: raw, lossSum } = await session.run({ params, buffers, features, samples: count, targets });
    const outputWidth = raw.length / count;
    const outputShape = program.outputShape ?? [outputWidth];
    parts.push(measure({ ...program, outputs: raw, outputShape, targets, features, ownLossSum: lossSum }));
    for (let i = 0; i < count && outputs.length < request.saveOutputs; i++)
      outputs.push(Array.from(raw.subarray(i * outputWidth, (i + 1) * outputWidth)));
  }
  return { sums: mergeSums(parts), outputs };
}

/** A test set of other shapes than the training set would give nonsense, or a crash inside the session. */
function checkSame(
  program: { featureShape: readonly number[]; target: unknown },
  manifest: { featureShape: readonly number[]; target: unknown },
  dataUri: string,
): void {
  const describe = ({ featureShape, target }: typeof program) => `features [${featureShape.join(', ')}], target ${JSON.stringify(target)}`;
  if (describe(program) !== describe(manifest))
    throw new SmltError('BadData', `${dataUri}: expected what the model was trained on, ${describe(program)}; found ${describe(manifest)}`);
}
