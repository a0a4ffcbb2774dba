import type { MetricSums } from '../contracts/functions';
import { SmltError } from '../contracts/errors';
import type { Loss } from '../contracts/model';
import type { Program } from '../contracts/program';
import { addExact, roundExact } from './exact-sum';

/*
 * How good a model is, measured in parts by many functions.
 * 1. A sample's numbers are float64 arithmetic on its own outputs and targets alone.
 * 2. Sums over samples are exact (exact-sum.ts), rounded once when read: the same bits for every cut, in every order.
 */

const sumNames = ['lossSum', 'squaredErrorSum', 'absoluteErrorSum', 'targetSum', 'targetSquaredSum'] as const;
type SumName = (typeof sumNames)[number];
type ExactSums = Record<SumName, number[]>;

interface Counts {
  samples: number;
  correct: number;
  values: number;
  confusion: number[][];
}
const noSums = (): ExactSums => ({ lossSum: [], squaredErrorSum: [], absoluteErrorSum: [], targetSum: [], targetSquaredSum: [] });

function finished(counts: Counts, exact: ExactSums): MetricSums {
  const rounded = Object.fromEntries(sumNames.map((name) => [name, roundExact(exact[name])])) as Record<SumName, number>;
  return { ...counts, ...rounded, exact };
}

/**
 * Measures raw outputs `[samples, width]` against targets: labels `[samples]`, or values `[samples, width]`.
 * - softmax-cross-entropy: outputs are logits; the first largest is the prediction.
 * - bce-with-logits: the loss is the mean over a sample's outputs; a sample is correct when every output is on the right side.
 * - mse: the loss is the mean over a sample's outputs; RMSE, MAE and R² are over all values together.
 * - program: as the targets ask for; the loss is `ownLossSum`, which the program has computed itself.
 * @throws {SmltError} `Diverged` when an output is not a finite number
 */
export function measure(
  loss: Loss,
  target: Program['target'],
  outputs: Float32Array,
  targets: Float32Array | Int32Array,
  ownLossSum?: number,
): MetricSums {
  const targetWidth = target.kind === 'values' ? target.width : 1;
  const samples = targets.length / targetWidth;
  const width = samples === 0 ? 0 : outputs.length / samples;
  const kind = loss === 'program' ? kindOf(target, width) : loss;
  const expected = kind === 'softmax-cross-entropy' && target.kind === 'class' ? target.classes : targetWidth;
  if (samples > 0 && width !== expected)
    throw new SmltError('InvalidModel', `${loss}: expected ${expected} outputs a sample for ${samples} samples, got ${outputs.length} in all`);
  for (let i = 0; i < outputs.length; i++)
    if (!Number.isFinite(outputs[i]!))
      throw new SmltError('Diverged', `output ${i % width} of sample ${Math.floor(i / width)} is ${outputs[i]}: expected a finite number`);

  const classes = kind === 'softmax-cross-entropy' ? expected : kind === 'bce-with-logits' && targetWidth === 1 ? 2 : 0;
  const counts: Counts = {
    samples,
    correct: 0,
    values: 0,
    confusion: Array.from({ length: classes }, () => new Array<number>(classes).fill(0)),
  };
  const exact = noSums();
  for (let sample = 0; sample < samples; sample++) {
    const output = outputs.subarray(sample * width, (sample + 1) * width);
    switch (kind) {
      case 'softmax-cross-entropy':
        countClass(output, targets[sample]!, counts, exact);
        break;
      case 'bce-with-logits':
        countBinary(output, targets.subarray(sample * width, (sample + 1) * width), counts, exact);
        break;
      case 'mse':
        countValues(output, targets.subarray(sample * width, (sample + 1) * width), counts, exact);
        break;
    }
  }
  if (ownLossSum !== undefined) {
    if (!Number.isFinite(ownLossSum)) throw new SmltError('Diverged', `the program's loss is ${ownLossSum}: expected a finite number`);
    exact.lossSum = [ownLossSum];
  }
  return finished(counts, exact);
}

/** How outputs are held against targets where the loss is the program's own: as scores, as one score, or as values. */
function kindOf(target: Program['target'], width: number): Exclude<Loss, 'program'> {
  if (target.kind === 'values') return 'mse';
  return width === 1 && target.classes === 2 ? 'bce-with-logits' : 'softmax-cross-entropy';
}

function countClass(logits: Float32Array, label: number, counts: Counts, exact: ExactSums): void {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - logits[best]!);
  addExact(exact.lossSum, Math.log(sum) + logits[best]! - logits[label]!);
  counts.confusion[label]![best]!++;
  if (best === label) counts.correct++;
}

function countBinary(logits: Float32Array, targets: Float32Array | Int32Array, counts: Counts, exact: ExactSums): void {
  let sum = 0;
  let right = 0;
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i]!;
    sum += Math.max(x, 0) - x * targets[i]! + Math.log1p(Math.exp(-Math.abs(x)));
    if (x > 0 === targets[i]! >= 0.5) right++;
  }
  addExact(exact.lossSum, sum / logits.length);
  if (right === logits.length) counts.correct++;
  if (logits.length === 1) counts.confusion[targets[0]! >= 0.5 ? 1 : 0]![logits[0]! > 0 ? 1 : 0]!++;
}

function countValues(outputs: Float32Array, targets: Float32Array | Int32Array, counts: Counts, exact: ExactSums): void {
  let sum = 0;
  for (let i = 0; i < outputs.length; i++) {
    const target = targets[i]!;
    const error = outputs[i]! - target;
    sum += error * error;
    addExact(exact.squaredErrorSum, error * error);
    addExact(exact.absoluteErrorSum, Math.abs(error));
    addExact(exact.targetSum, target);
    addExact(exact.targetSquaredSum, target * target);
  }
  addExact(exact.lossSum, sum / outputs.length);
  counts.values += outputs.length;
}

/** The sums of the whole from the sums of its parts: the same bits for every cut into parts and every order of them. */
export function mergeSums(list: readonly MetricSums[]): MetricSums {
  const counts: Counts = { samples: 0, correct: 0, values: 0, confusion: [] };
  const exact = noSums();
  for (const part of list) {
    counts.samples += part.samples;
    counts.correct += part.correct;
    counts.values += part.values;
    part.confusion.forEach((row, label) => {
      const merged = (counts.confusion[label] ??= new Array<number>(row.length).fill(0));
      row.forEach((count, prediction) => (merged[prediction]! += count));
    });
    for (const name of sumNames) for (const value of part.exact?.[name] ?? [part[name]]) addExact(exact[name], value);
  }
  return finished(counts, exact);
}

export interface Metrics {
  readonly loss: number;
  readonly accuracy?: number;
  readonly rmse?: number;
  readonly mae?: number;
  /** Left out when all targets are equal: nothing to explain. */
  readonly r2?: number;
}
/** What people read. @throws {SmltError} `BadData` when nothing was measured */
export function metricsOf(sums: MetricSums): Metrics {
  const { samples, values, lossSum, correct, squaredErrorSum, absoluteErrorSum, targetSum, targetSquaredSum } = sums;
  if (samples === 0) throw new SmltError('BadData', 'no sample was measured: expected at least one');
  const loss = lossSum / samples;
  if (values === 0) return { loss, accuracy: correct / samples };
  const spread = targetSquaredSum - (targetSum * targetSum) / values;
  return {
    loss,
    rmse: Math.sqrt(squaredErrorSum / values),
    mae: absoluteErrorSum / values,
    ...(spread > 0 ? { r2: 1 - squaredErrorSum / spread } : {}),
  };
}
