import { SmltError } from '../../contracts/errors';
import type { MetricSums } from '../../contracts/functions';
import { settingsOf, type Loss, type LossSettings } from '../../contracts/loss';
import type { Target } from '../losses/target';
import { Tally } from './tally';

type Settings<K extends LossSettings['kind']> = Extract<LossSettings, { kind: K }>;
type Numbers = Float32Array | Int32Array;

export interface Measured {
  readonly loss: Loss;
  readonly target: Target;
  /** Raw, flat. */
  readonly outputs: Float32Array;
  /** Of one sample, without the sample axis. */
  readonly outputShape: readonly number[];
  /** Labels `[samples]`, or values `[samples, width]`. */
  readonly targets: Numbers;
  /** Rows, whose first numbers are the tokens, for next-token. */
  readonly features?: Float32Array | undefined;
  /** What the program has computed itself, where the loss is its own. */
  readonly ownLossSum?: number | undefined;
}

/**
 * Measures raw outputs against targets. Among classes the first largest output is the prediction; a yes-or-no output says
 * yes above 0, and several of them are correct together. RMSE, MAE and R² are over all values together.
 * @throws {SmltError} `Diverged` when an output is not a finite number
 */
export function measure({ loss, target, outputs, outputShape, targets, features, ownLossSum }: Measured): MetricSums {
  const own = settingsOf(loss);
  const settings = own.kind === 'program' ? settingsOf(lossLike(target, outputShape)) : own;
  const targetWidth = target.kind === 'values' ? target.width : 1;
  const samples = targets.length / targetWidth;
  const width = outputShape.reduce((product, axis) => product * axis, 1);
  if (outputs.length !== samples * width)
    throw new SmltError('InvalidModel', `${settings.kind}: expected ${width} outputs a sample for ${samples} samples, got ${outputs.length} in all`);
  for (let i = 0; i < outputs.length; i++)
    if (!Number.isFinite(outputs[i]!))
      throw new SmltError('Diverged', `output ${i % width} of sample ${Math.floor(i / width)} is ${outputs[i]}: expected a finite number`);

  const measurer = own.kind === 'program' && !comparable(target, outputShape) ? incomparable : measurerOf(settings, target, outputShape);
  const tally = new Tally(measurer.classes, measurer.oneOfMany);
  const featureWidth = features ? features.length / samples : 0;
  for (let sample = 0; sample < samples; sample++) {
    tally.samples++;
    measurer.add(tally, {
      outputs: outputs.subarray(sample * width, (sample + 1) * width),
      targets: targets.subarray(sample * targetWidth, (sample + 1) * targetWidth),
      features: features?.subarray(sample * featureWidth, (sample + 1) * featureWidth),
      sample,
    });
  }
  if (ownLossSum !== undefined) {
    if (!Number.isFinite(ownLossSum)) throw new SmltError('Diverged', `the program's loss is ${ownLossSum}: expected a finite number`);
    tally.exact.lossSum.splice(0, Infinity, ownLossSum);
    tally.exact.weightSum.splice(0, Infinity, samples);
  }
  return tally.finish();
}

/** How outputs are held against targets where the loss is the program's own: as values, as one score, or as scores. */
function lossLike(target: Target, outputShape: readonly number[]): Loss {
  if (target.kind === 'values') return 'mse';
  return target.classes === 2 && outputShape.every((axis) => axis === 1) ? 'bce-with-logits' : 'softmax-cross-entropy';
}

/** What the program's loss takes need not look like the targets. */
function comparable(target: Target, outputShape: readonly number[]): boolean {
  const width = outputShape.reduce((product, axis) => product * axis, 1);
  if (target.kind === 'values') return width === target.width;
  return (target.classes === 2 && width === 1) || (outputShape.length === 1 && width === target.classes);
}
const incomparable: Measurer = { classes: 0, oneOfMany: false, add: () => undefined };

interface Sample {
  readonly outputs: Float32Array;
  readonly targets: Numbers;
  readonly features: Float32Array | undefined;
  readonly sample: number;
}
interface Measurer {
  readonly classes: number;
  readonly oneOfMany: boolean;
  add(tally: Tally, sample: Sample): void;
}

function measurerOf(settings: LossSettings, target: Target, shape: readonly number[]): Measurer {
  const width = shape.reduce((product, axis) => product * axis, 1);
  const nothing = { classes: 0, oneOfMany: false };
  switch (settings.kind) {
    case 'softmax-cross-entropy':
      return crossEntropy(settings, target, shape);
    case 'next-token':
      return nextToken(settings, shape);
    case 'bce-with-logits':
      return yesOrNo(width, (x, t) => {
        const weight = 1 + ((settings.positiveWeight ?? 1) - 1) * t;
        return (1 - t) * x + weight * (Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x))));
      });
    case 'hinge': {
      const margin = settings.margin ?? 1;
      if (target.kind === 'class' && width > 1) return multiMargin(margin, width);
      return yesOrNo(width, (x, t) => Math.max(0, margin - (t > 0 ? x : -x)));
    }
    case 'program':
      throw new Error('a loss of its own is measured like another');
    case 'kl-divergence':
      return { ...nothing, add: (tally, sample) => tally.addLoss(divergence(sample, shape.at(-1) ?? 1), 1) };
    case 'mse':
      return { ...nothing, add: (tally, sample) => addValues(tally, sample, (d) => d * d) };
    case 'mae':
      return { ...nothing, add: (tally, sample) => addValues(tally, sample, Math.abs) };
    case 'huber': {
      const delta = settings.delta ?? 1;
      return {
        ...nothing,
        add: (tally, sample) => addValues(tally, sample, (d) => (Math.abs(d) <= delta ? (d * d) / 2 : delta * (Math.abs(d) - delta / 2))),
      };
    }
  }
}

function addValues(tally: Tally, { outputs, targets }: Sample, lossOf: (difference: number) => number): void {
  let sum = 0;
  for (let i = 0; i < outputs.length; i++) {
    const target = targets[i]!;
    const error = outputs[i]! - target;
    sum += lossOf(error);
    tally.add('squaredErrorSum', error * error);
    tally.add('absoluteErrorSum', Math.abs(error));
    tally.add('targetSum', target);
    tally.add('targetSquaredSum', target * target);
  }
  tally.addLoss(sum / outputs.length, 1);
  tally.values += outputs.length;
}

function yesOrNo(width: number, lossOf: (output: number, target: number) => number): Measurer {
  const single = width === 1;
  return {
    classes: single ? 2 : width,
    oneOfMany: single,
    add(tally, { outputs, targets }) {
      let sum = 0;
      let right = 0;
      for (let i = 0; i < width; i++) {
        const [yes, truth] = [outputs[i]! > 0, targets[i]! >= 0.5];
        sum += lossOf(outputs[i]!, targets[i]!);
        if (yes === truth) right++;
        if (!single) tally.decideLabel(i, truth, yes);
      }
      tally.addLoss(sum / width, 1);
      if (single) {
        const [yes, truth] = [outputs[0]! > 0, targets[0]! >= 0.5];
        tally.decide(truth ? 1 : 0, yes ? 1 : 0, right === 1 ? 0 : 1);
        tally.score(outputs[0]!, truth);
        return;
      }
      tally.decisions++;
      if (right === width) tally.correct++;
    },
  };
}

/** The first largest, and how many classes stand before `label`. */
function ranked(logits: ArrayLike<number>, label: number): { best: number; rank: number } {
  let best = 0;
  let rank = 0;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i]! > logits[best]!) best = i;
    if (logits[i]! > logits[label]! || (logits[i] === logits[label] && i < label)) rank++;
  }
  return { best, rank };
}
function logSumExp(logits: ArrayLike<number>): number {
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) top = Math.max(top, logits[i]!);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - top);
  return Math.log(sum) + top;
}

function multiMargin(margin: number, classes: number): Measurer {
  return {
    classes,
    oneOfMany: true,
    add(tally, { outputs, targets }) {
      const label = targets[0]!;
      let sum = 0;
      for (let i = 0; i < classes; i++) if (i !== label) sum += Math.max(0, margin - outputs[label]! + outputs[i]!);
      tally.addLoss(sum / classes, 1);
      const { best, rank } = ranked(outputs, label);
      tally.decide(label, best, rank);
      if (classes === 2) tally.score(outputs[1]! - outputs[0]!, label === 1);
    },
  };
}

function divergence({ outputs, targets }: Sample, classes: number): number {
  let sum = 0;
  for (let row = 0; row < outputs.length; row += classes) {
    const lse = logSumExp(outputs.subarray(row, row + classes));
    for (let i = row; i < row + classes; i++) {
      const t = targets[i]!;
      if (t > 0) sum += t * (Math.log(t) - outputs[i]! + lse);
    }
  }
  return sum;
}

type Labelled = Pick<Settings<'softmax-cross-entropy'>, 'labelSmoothing' | 'ignoreIndex' | 'classWeights'>;

/** Adds one position's loss and decision; answers its loss and weight. An ignored one counts nothing. */
function addPosition(tally: Tally, settings: Labelled, logits: Float32Array, label: number, where: string): { loss: number; weight: number } {
  const { labelSmoothing = 0, ignoreIndex, classWeights } = settings;
  if (label === ignoreIndex) return { loss: 0, weight: 0 };
  if (!Number.isInteger(label) || label < 0 || label >= logits.length)
    throw new SmltError('BadData', `${where} has label ${label}: expected a whole number from 0 to ${logits.length - 1}`);
  const lse = logSumExp(logits);
  const weight = classWeights?.[label] ?? 1;
  let loss = (1 - labelSmoothing) * weight * (lse - logits[label]!);
  if (labelSmoothing > 0) {
    let smooth = 0;
    for (let i = 0; i < logits.length; i++) smooth += (classWeights?.[i] ?? 1) * (lse - logits[i]!);
    loss += (labelSmoothing / logits.length) * smooth;
  }
  const { best, rank } = ranked(logits, label);
  tally.decide(label, best, rank);
  return { loss, weight };
}

function crossEntropy(settings: Settings<'softmax-cross-entropy'>, target: Target, shape: readonly number[]): Measurer {
  const width = shape.reduce((product, axis) => product * axis, 1);
  const targetWidth = target.kind === 'class' ? 1 : target.width;
  const [last, second] = [shape.at(-1) ?? 1, shape[0] ?? 1];
  const fits = (classes: number) => width / classes === targetWidth && (target.kind === 'class' || shape.length > 1);
  if (!fits(last) && !fits(second)) return softCrossEntropy(settings, last);
  const lastAxis = fits(last);
  const classes = lastAxis ? last : second;
  const positions = width / classes;
  const weighted = settings.ignoreIndex !== undefined || settings.classWeights !== undefined;
  const logits = new Float32Array(classes);
  return {
    classes,
    oneOfMany: true,
    add(tally, { outputs, targets, sample }) {
      let [sum, weight] = [0, 0];
      for (let position = 0; position < positions; position++) {
        for (let i = 0; i < classes; i++) logits[i] = outputs[lastAxis ? position * classes + i : i * positions + position]!;
        const added = addPosition(tally, settings, logits, targets[position]!, `position ${position} of sample ${sample}`);
        sum += added.loss;
        weight += added.weight;
        if (classes === 2 && added.weight > 0 && positions === 1) tally.score(logits[1]! - logits[0]!, targets[0] === 1);
      }
      if (weighted) tally.addLoss(sum, weight);
      else tally.addLoss(sum / positions, 1);
    },
  };
}

/** Shares of every class as targets; the class with the largest share is the true one. */
function softCrossEntropy({ labelSmoothing = 0, classWeights }: Settings<'softmax-cross-entropy'>, classes: number): Measurer {
  return {
    classes,
    oneOfMany: true,
    add(tally, { outputs, targets }) {
      let sum = 0;
      for (let row = 0; row < outputs.length; row += classes) {
        const logits = outputs.subarray(row, row + classes);
        const lse = logSumExp(logits);
        for (let i = 0; i < classes; i++) {
          const share = (1 - labelSmoothing) * targets[row + i]! + labelSmoothing / classes;
          sum += (classWeights?.[i] ?? 1) * share * (lse - logits[i]!);
        }
        const label = ranked(targets.subarray(row, row + classes), 0).best;
        const { best, rank } = ranked(logits, label);
        tally.decide(label, best, rank);
      }
      tally.addLoss(sum / (outputs.length / classes), 1);
    },
  };
}

function nextToken(settings: Settings<'next-token'>, [positions = 1, vocabulary = 1]: readonly number[]): Measurer {
  return {
    classes: vocabulary,
    oneOfMany: true,
    add(tally, { outputs, features, sample }) {
      let [sum, weight] = [0, 0];
      for (let position = 0; position + 1 < positions; position++) {
        const logits = outputs.subarray(position * vocabulary, (position + 1) * vocabulary);
        const added = addPosition(tally, settings, logits, features?.[position + 1] ?? NaN, `token ${position + 1} of sample ${sample}`);
        sum += added.loss;
        weight += added.weight;
      }
      if (settings.ignoreIndex === undefined) tally.addLoss(sum / (positions - 1), 1);
      else tally.addLoss(sum, weight);
    },
  };
}
