import type { LossSettings } from '../../contracts/loss';
import type { GraphWriter } from '../graph-writer';
import { int } from '../onnx/graph';
import type { Value } from '../shapes';
import type { Target } from './target';
import type { WrittenLoss } from './written-loss';

/** Losses over the axis of classes. */

/** How outputs and targets of a cross entropy belong together. */
export interface Logits {
  readonly outputs: Value;
  readonly classes: number;
  /** Losses a sample: 1, or the positions of a sequence or an image. */
  readonly positions: number;
  /** The last axis, `[N, ..., classes]`, or the second one, `[N, classes, ...]`. */
  readonly axis: 'last' | 'second';
  /** Targets are shares of every class, not labels. */
  readonly soft: boolean;
  readonly fits: boolean;
}

/** Where both readings fit, the last axis holds the classes. */
export function logitsOf(outputs: Value, target: Target): Logits {
  const [, ...inner] = outputs.shape;
  const all = inner.reduce((product, axis) => product * axis, 1);
  const width = target.kind === 'class' ? 1 : target.width;
  const reading = (axis: Logits['axis']) => {
    const classes = (axis === 'last' ? inner.at(-1) : inner[0]) ?? 1;
    return { outputs, classes, positions: all / classes, axis };
  };
  const labels = [reading('last'), reading('second')].find(({ positions }) => positions === width && (target.kind === 'class' || inner.length > 1));
  if (labels) return { ...labels, soft: false, fits: true };
  return { ...reading('last'), soft: true, fits: target.kind === 'values' && width === all };
}

/** Rows of logits `[rows, classes]`, and how a gradient gets the outputs' shape again. */
function rowsOf(g: GraphWriter, { outputs, classes, positions, axis }: Logits): { z: Value; restore: (rows: Value) => Value } {
  const samples = outputs.shape[0] ?? 1;
  const rows = samples * positions;
  if (axis === 'last') return { z: g.reshape(outputs, [rows, classes]), restore: (gradient) => g.reshape(gradient, outputs.shape) };
  const columns = g.reshape(outputs, [samples, classes, positions]);
  return {
    z: g.reshape(g.transpose(columns, [0, 2, 1]), [rows, classes]),
    restore: (gradient) => g.reshape(g.transpose(g.reshape(gradient, [samples, positions, classes]), [0, 2, 1]), outputs.shape),
  };
}

const logSoftmax = (g: GraphWriter, z: Value): Value => g.emit('LogSoftmax', [z], z, { axis: int(-1) });

/** 1 at each row's label `[rows]`. */
function oneHot(g: GraphWriter, labels: Value, { shape, type }: Value): Value {
  const [rows, classes] = shape as [number, number];
  const numbers = g.constant({ type: 'int32', shape: [1, classes], data: Int32Array.from({ length: classes }, (_, i) => i) });
  return g.mask(g.compare('Equal', g.reshape(labels, [rows, 1]), numbers), type);
}

/** What counts in a row: t_c, for a loss -Σ t_c log p_c. `total` is Σ t_c `[rows, 1]`, left out where it is 1. */
interface Shares {
  readonly t: Value;
  readonly total?: Value;
}

/** -Σ t_c log softmax(z)_c; gradient softmax(z) Σ t - t. */
function fromShares(g: GraphWriter, z: Value, { t, total }: Shares): { loss: Value; gradient: Value } {
  const logP = logSoftmax(g, z);
  const p = g.unary('Exp', logP);
  return { loss: g.neg(g.sumAll(g.mul(t, logP))), gradient: g.sub(total ? g.mul(p, total) : p, t) };
}

type CrossEntropy = Extract<LossSettings, { kind: 'softmax-cross-entropy' }>;

/**
 * Means as PyTorch's CrossEntropyLoss has them: over all positions; with class weights or an ignored label over the
 * weights of the labels that count; with shares of classes over positions, whatever the weights.
 */
export function crossEntropy(loss: CrossEntropy, g: GraphWriter, logits: Logits, targets: Value): WrittenLoss {
  const { z, restore } = rowsOf(g, logits);
  const rows = z.shape[0] ?? 1;
  const mean = (sums: { loss: Value; gradient: Value }, weight?: Value): WrittenLoss =>
    weight
      ? { ...sums, gradient: restore(sums.gradient), weight }
      : { loss: g.mul(sums.loss, 1 / logits.positions), gradient: restore(g.mul(sums.gradient, 1 / logits.positions)) };
  if (logits.soft) return mean(fromShares(g, z, softShares(loss, g, g.reshape(targets, z.shape))));
  const labels = g.cast(g.reshape(targets, [rows]), 'int32');
  const { shares, weight } = hardShares(loss, g, labels, z, undefined);
  return mean(fromShares(g, z, shares), weight);
}

const classWeights = (g: GraphWriter, weights: readonly number[], type: Value['type']): Value =>
  g.cast(g.constant({ type: 'float32', shape: [1, weights.length], data: Float32Array.from(weights) }), type);

function softShares({ labelSmoothing = 0, classWeights: weights }: CrossEntropy, g: GraphWriter, given: Value): Shares {
  const classes = given.shape[1] ?? 1;
  const smooth = labelSmoothing === 0 ? given : g.add(g.mul(given, 1 - labelSmoothing), labelSmoothing / classes);
  const t = weights ? g.mul(smooth, classWeights(g, weights, given.type)) : smooth;
  return { t, total: g.sum(t, [1], true) };
}

/** @param counted  rows that count, `[rows, 1]` of 0 and 1; left out: all */
function hardShares(
  { labelSmoothing = 0, ignoreIndex, classWeights: weights }: Omit<CrossEntropy, 'kind'>,
  g: GraphWriter,
  labels: Value,
  z: Value,
  counted: Value | undefined,
): { shares: Shares; weight: Value | undefined } {
  const [rows, classes] = z.shape as [number, number];
  const chosen = oneHot(g, labels, z); // an ignored label that is no class chooses nothing
  let kept = counted;
  if (ignoreIndex !== undefined) {
    const ignored = g.compare('Equal', g.reshape(labels, [rows, 1]), g.constant({ type: 'int32', shape: [1, 1], data: Int32Array.of(ignoreIndex) }));
    const mask = g.sub(1, g.mask(ignored, z.type));
    kept = kept ? g.mul(kept, mask) : mask;
  }
  const weightRow = weights && classWeights(g, weights, z.type);
  const weighted = weightRow ? g.mul(chosen, weightRow) : chosen;
  const right = kept ? g.mul(weighted, kept) : weighted;
  const weight = weights || ignoreIndex !== undefined ? g.sumAll(right) : undefined;
  if (labelSmoothing === 0) return { shares: kept || weights ? { t: right, total: g.sum(right, [1], true) } : { t: right }, weight };
  const everywhere = g.mul(weightRow ?? g.full([1, classes], 1, z.type), labelSmoothing / classes);
  const smooth = kept ? g.mul(everywhere, kept) : everywhere;
  const t = g.add(g.mul(right, 1 - labelSmoothing), smooth);
  return { shares: { t, total: g.sum(t, [1], true) }, weight };
}

/** Cross entropy of each position's logits against the token at the next one; the last position has none. */
export function nextTokens(loss: Extract<LossSettings, { kind: 'next-token' }>, g: GraphWriter, outputs: Value, features: Value): WrittenLoss {
  const [samples, positions, vocabulary] = outputs.shape as [number, number, number];
  const row = g.reshape(features, [samples, features.shape.slice(1).reduce((product, axis) => product * axis, 1)]);
  const next = g.pad(g.slice(row, 1, 1, positions), [0, 0, 0, 1]);
  const labels = g.cast(g.reshape(next, [samples * positions]), 'int32');
  const z = g.reshape(outputs, [samples * positions, vocabulary]);
  const known = Float32Array.from({ length: samples * positions }, (_, i) => ((i + 1) % positions === 0 ? 0 : 1));
  const counted = g.cast(g.constant({ type: 'float32', shape: [samples * positions, 1], data: known }), z.type);
  const { shares, weight } = hardShares(loss, g, labels, z, counted);
  const sums = fromShares(g, z, shares);
  if (weight) return { loss: sums.loss, gradient: g.reshape(sums.gradient, outputs.shape), weight };
  const share = 1 / (positions - 1);
  return { loss: g.mul(sums.loss, share), gradient: g.reshape(g.mul(sums.gradient, share), outputs.shape) };
}

/** Σ t (log t - log softmax(z)) over the last axis, the mean over samples: PyTorch's KLDivLoss, `batchmean`, of log-softmax outputs. */
export function divergence(g: GraphWriter, outputs: Value, targets: Value): WrittenLoss {
  const classes = outputs.shape.at(-1) ?? 1;
  const rows = outputs.shape.reduce((product, axis) => product * axis, 1) / classes;
  const z = g.reshape(outputs, [rows, classes]);
  const t = g.cast(g.reshape(targets, [rows, classes]), z.type);
  // 0 log 0 is 0.
  const logT = g.unary('Log', g.where(g.compare('Greater', t, 0), t, g.scalar(1, z.type)));
  const { loss, gradient } = fromShares(g, z, { t, total: g.sum(t, [1], true) });
  return { loss: g.add(loss, g.sumAll(g.mul(t, logT))), gradient: g.reshape(gradient, outputs.shape) };
}

/** Σ over the wrong classes of max(0, margin - z_y + z_c), divided by the classes: PyTorch's MultiMarginLoss with p = 1. */
export function multiMargin(margin: number, g: GraphWriter, z: Value, labels: Value): WrittenLoss {
  const classes = z.shape[1] ?? 1;
  const chosen = oneHot(g, labels, z);
  const own = g.sum(g.mul(chosen, z), [1], true);
  const short = g.add(g.sub(z, own), margin);
  const wrong = g.sub(1, chosen);
  const each = g.mul(g.unary('Relu', short), wrong);
  const pull = g.mul(g.mask(g.compare('Greater', short, 0), z.type), wrong);
  const gradient = g.sub(pull, g.mul(chosen, g.sum(pull, [1], true)));
  return { loss: g.mul(g.sumAll(each), 1 / classes), gradient: g.mul(gradient, 1 / classes) };
}
