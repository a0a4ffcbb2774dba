import { totalStepsOf } from '../contracts/batch-size';
import type { DataSetManifest } from '../contracts/data-set';
import { checkBatches } from '../contracts/check-batches';
import { SmltError, type ErrorCode } from '../contracts/errors';
import type { Job } from '../contracts/job';
import { settingsOf } from '../contracts/loss';
import { checkSearch } from '../scheduler';
import { metricsFor } from '../training/metrics';
import { readManifest, readShard } from './data-sets';
import { checkModel } from './check-model';
import type { ModelFacts } from './model-facts';

/** Larger data sets are checked by the functions that read them, shard by shard: here the first shard stands for the rest. */
const READ_WHOLE_BYTES = 512 * 1024 * 1024;

export interface CheckedJob {
  readonly dataSets: Readonly<Partial<Record<Split, DataSetManifest>>>;
  readonly model: ModelFacts;
  readonly totalSteps: number;
}
type Split = 'train' | 'validation' | 'test';

/**
 * Checks all that can be known before anything is spent: data sets, goal, model against data.
 * @param tell  hears what takes long, such as installing a program's packages
 * @throws {SmltError} one error with everything that is wrong
 */
export async function checkJob(job: Job, nowMs = Date.now(), tell: (line: string) => void = () => undefined): Promise<CheckedJob> {
  const problems: SmltError[] = [];
  const attempt = async <T>(check: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof SmltError)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  await attempt(() => checkGoal(job, nowMs));
  await attempt(() => checkSearch(job));
  const dataSets: Partial<Record<Split, DataSetManifest>> = {};
  for (const split of ['train', 'validation', 'test'] as const) {
    const uri = job.data[split];
    if (uri === undefined) continue;
    const manifest = await attempt(() => inSplit(split, async () => checkData(uri, await readManifest(uri))));
    if (manifest) dataSets[split] = manifest;
  }
  await attempt(() => checkSplits(job, dataSets));
  const { train } = dataSets;
  const model = train && (await attempt(() => checkLoss(job, train))) && (await attempt(() => checkModel(job, train, tell)));
  if (problems.length > 0 || !train || !model) throw together(problems);
  return {
    dataSets,
    model,
    totalSteps: totalStepsOf(job.training, train.samples),
  };
}

function together(problems: readonly SmltError[]): SmltError {
  const [first] = problems;
  if (problems.length === 1 && first) return first;
  const code: ErrorCode = first?.code ?? 'InvalidSpec';
  return new SmltError(code, `${problems.length} things are wrong:\n${problems.map(({ message }) => `✖ ${message}`).join('\n')}`);
}

async function inSplit<T>(split: Split, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof SmltError)) throw error;
    throw new SmltError(error.code, `data.${split}: ${error.message}`, { cause: error });
  }
}

async function checkData(uri: string, manifest: DataSetManifest): Promise<DataSetManifest> {
  const bytes = manifest.samples * manifest.featureShape.reduce((size, axis) => size * axis, 4);
  const shards = bytes <= READ_WHOLE_BYTES ? manifest.shards.length : 1;
  for (let index = 0; index < shards; index++) await readShard(uri, manifest, index);
  return manifest;
}

function checkGoal({ goal }: Job, nowMs: number): void {
  const { deadline } = goal;
  if (deadline === undefined) return;
  if (/^\d{4}-/.test(deadline) && Date.parse(deadline) <= nowMs)
    throw new SmltError('InvalidSpec', `goal.deadline: ${deadline} is before now (${new Date(nowMs).toISOString()}); expected a later instant, or a duration such as 10m`); // prettier-ignore
}

function checkSplits(job: Job, dataSets: Partial<Record<Split, DataSetManifest>>): void {
  const { train } = dataSets;
  if (!train) return;
  const shapeOf = ({ featureShape, features, target }: DataSetManifest) =>
    `features ${features ? features.map(({ name, shape }) => `${name} [${shape.join(', ')}]`).join(', ') : `[${featureShape.join(', ')}]`}, ${target.kind === 'class' ? `${target.classes} classes` : `${target.width} values`}`;
  for (const split of ['validation', 'test'] as const) {
    const other = dataSets[split];
    if (other && shapeOf(other) !== shapeOf(train))
      throw new SmltError('BadData', `data.${split} has ${shapeOf(other)}, and data.train has ${shapeOf(train)}: expected the same; pack them the same way`); // prettier-ignore
  }
  checkBatches(job.training, train.samples);
  if (job.tune && !job.data.validation)
    throw new SmltError('InvalidSpec', 'data.validation: tuning compares trials on it; add a validation set, or leave `tune` out');
  const required = Object.keys(job.evaluate?.require ?? {});
  if (required.length > 0 && !job.data.test)
    throw new SmltError('InvalidSpec', `data.test: evaluate.require.${required[0]} is measured on it; add a test set, or leave the requirement out`);
}

/** What the loss and the required metrics expect of the targets. Returns true, so that the model is checked only after it. */
function checkLoss({ loss, evaluate, tune, training: { until, earlyStopping } }: Job, { target }: DataSetManifest): true {
  const { kind } = settingsOf(loss);
  const found = target.kind === 'class' ? `class labels (${target.classes} classes)` : `values (width ${target.width})`;
  if (target.kind === 'class' && ['mse', 'mae', 'huber', 'kl-divergence'].includes(kind))
    throw new SmltError('InvalidSpec', `loss: ${kind} needs values, and data.train has ${found}; use softmax-cross-entropy`);
  const known = metricsFor(loss, target);
  const compared = [tune, until, earlyStopping].flatMap((asking) => (asking ? [asking.metric.replace('validation.', '')] : []));
  const asked = [...Object.keys(evaluate?.require ?? {}), ...compared];
  const stranger = asked.find((metric) => !known.some((name) => name === metric));
  if (stranger !== undefined)
    throw new SmltError('InvalidSpec', `${stranger} is no measure of ${kind} on data.train's ${found}; use ${known.join(', ')}`);
  return true;
}
