import type { MetricSums } from '../contracts/functions';
import { SmltError } from '../contracts/errors';
import { settingsOf, type Loss } from '../contracts/loss';
import type { MetricName, Metrics } from '../contracts/metrics';
import { exponential } from './elementary';
import { addExact } from './exact-sum';
import type { Target } from './losses/target';
import { areas, mergeScores } from './metrics/scores';
import { roundedSums, sumNames, type SumName } from './metrics/tally';

export { measure, type Measured } from './metrics/measure';

/*
 * How good a model is, measured in parts by many functions.
 * 1. A sample's numbers are float64 arithmetic on its own outputs and targets alone.
 * 2. Sums over samples are exact (exact-sum.ts), rounded once when read; counts are whole numbers, and scores are kept
 *    whole. So the bits are the same for every cut, in every order.
 */

const addLists = (lists: readonly (readonly number[])[]): number[] =>
  lists.reduce<number[]>((sum, list) => {
    list.forEach((count, i) => (sum[i] = (sum[i] ?? 0) + count));
    return sum;
  }, []);

/** The sums of the whole from the sums of its parts: the same bits for every cut into parts and every order of them. */
export function mergeSums(list: readonly MetricSums[]): MetricSums {
  const exact = Object.fromEntries(sumNames.map((name) => [name, [] as number[]])) as Record<SumName, number[]>;
  for (const part of list) for (const name of sumNames) for (const value of part.exact?.[name] ?? [part[name]]) addExact(exact[name], value);
  const total = (read: (part: MetricSums) => number) => list.reduce((sum, part) => sum + read(part), 0);
  const classes = Math.max(0, ...list.map(({ confusion }) => confusion.length));
  return {
    samples: total(({ samples }) => samples),
    decisions: total(({ decisions }) => decisions),
    correct: total(({ correct }) => correct),
    values: total(({ values }) => values),
    confusion: Array.from({ length: classes }, (_, label) => addLists(list.map(({ confusion }) => confusion[label] ?? []))),
    ranks: addLists(list.map(({ ranks }) => ranks)),
    perClass: {
      right: addLists(list.map(({ perClass }) => perClass.right)),
      named: addLists(list.map(({ perClass }) => perClass.named)),
      had: addLists(list.map(({ perClass }) => perClass.had)),
    },
    scores: mergeScores(list.map(({ scores }) => scores)),
    ...roundedSums(exact),
    exact,
  };
}

/** Which metrics a model of this loss and data has; R² and the areas may still be undefined on data without spread or of one label. */
export function metricsFor(loss: Loss, target: Target): MetricName[] {
  const settings = settingsOf(loss);
  const macroAndMicro: MetricName[] = ['precision-macro', 'recall-macro', 'f1-macro', 'precision-micro', 'recall-micro', 'f1-micro'];
  const binary: MetricName[] = ['precision', 'recall', 'f1', 'roc-auc', 'pr-auc'];
  // Of k classes all are among the first k.
  const top = ([3, 5, 10] as const).filter((k) => target.kind === 'values' || k < target.classes).map((k) => `top-${k}` as const);
  switch (settings.kind) {
    case 'program':
      return metricsFor(target.kind === 'values' ? 'mse' : 'softmax-cross-entropy', target);
    case 'mse':
    case 'mae':
    case 'huber':
      return ['loss', 'rmse', 'mae', 'r2'];
    case 'kl-divergence':
      return ['loss'];
    case 'next-token':
      return ['loss', 'perplexity', 'accuracy', ...top, ...macroAndMicro];
    case 'bce-with-logits':
    case 'hinge':
    case 'softmax-cross-entropy': {
      const yesOrNo = target.kind === 'class' ? target.classes === 2 : settings.kind !== 'softmax-cross-entropy' && target.width === 1;
      if (yesOrNo) return ['loss', 'accuracy', ...binary, ...macroAndMicro];
      const oneOfMany = settings.kind === 'softmax-cross-entropy' || target.kind === 'class';
      const sequence = settings.kind === 'softmax-cross-entropy' && target.kind === 'values';
      return ['loss', 'accuracy', ...(oneOfMany ? top : []), ...macroAndMicro, ...(sequence ? (['perplexity'] as const) : [])];
    }
  }
}

/**
 * What people read: every metric of the loss and data that the sums can tell. Perplexity is exp of the mean loss.
 * @throws {SmltError} `BadData` when nothing was measured
 */
export function metricsOf(sums: MetricSums, loss: Loss, target: Target): Metrics {
  const { samples, decisions, correct, weightSum, lossSum } = sums;
  if (samples === 0) throw new SmltError('BadData', 'no sample was measured: expected at least one');
  if (weightSum === 0) throw new SmltError('BadData', `all of the ${samples} samples' labels are ignored or weigh 0: expected one that counts`);
  const mean = lossSum / weightSum;
  const all: Partial<Record<MetricName, number>> = {
    loss: mean,
    perplexity: Math.abs(mean) < 700 ? exponential(mean) : Infinity,
    ...(decisions > 0 ? { accuracy: correct / decisions, ...topOf(sums), ...ratesOf(sums) } : {}),
    ...areasOf(sums),
    ...errorsOf(sums),
  };
  const own = metricsFor(loss, target).flatMap((name) => (all[name] !== undefined && Number.isFinite(all[name]) ? [[name, all[name]]] : []));
  return Object.fromEntries(own) as Metrics;
}

function topOf({ ranks, decisions }: MetricSums): Partial<Record<MetricName, number>> {
  if (ranks.length === 0) return {};
  const top = (k: number) => ranks.slice(0, k).reduce((sum, count) => sum + count, 0) / decisions;
  return { 'top-3': top(3), 'top-5': top(5), 'top-10': top(10) };
}

/** 0 where nothing was named, or nothing had the class: as scikit-learn with `zero_division=0`. */
const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);

/** Macro: the mean over the classes that occur, as labels or as predictions. Micro: over all decisions together. */
function ratesOf({ perClass: { right, named, had } }: MetricSums): Partial<Record<MetricName, number>> {
  const classes = right.map((hits, i) => ({ hits, named: named[i]!, had: had[i]! }));
  if (classes.length === 0) return {};
  const rates = (counts: { hits: number; named: number; had: number }) => [
    ratio(counts.hits, counts.named),
    ratio(counts.hits, counts.had),
    ratio(2 * counts.hits, counts.named + counts.had),
  ];
  const occurring = classes.filter((counts) => counts.named + counts.had > 0);
  const macro = [0, 1, 2].map((which) => occurring.reduce((sum, counts) => sum + rates(counts)[which]!, 0) / Math.max(1, occurring.length));
  const micro = rates(classes.reduce((sum, each) => ({ hits: sum.hits + each.hits, named: sum.named + each.named, had: sum.had + each.had })));
  const positive = classes.length === 2 ? rates(classes[1]!) : [];
  return {
    precision: positive[0]!,
    recall: positive[1]!,
    f1: positive[2]!,
    'precision-macro': macro[0]!,
    'recall-macro': macro[1]!,
    'f1-macro': macro[2]!,
    'precision-micro': micro[0]!,
    'recall-micro': micro[1]!,
    'f1-micro': micro[2]!,
  };
}

function areasOf({ scores }: MetricSums): Partial<Record<MetricName, number>> {
  const found = areas(scores);
  return found ? { 'roc-auc': found.rocAuc, 'pr-auc': found.prAuc } : {};
}

/** R² is left out when all targets are equal: nothing to explain. */
function errorsOf({ values, squaredErrorSum, absoluteErrorSum, targetSum, targetSquaredSum }: MetricSums): Partial<Record<MetricName, number>> {
  if (values === 0) return {};
  const spread = targetSquaredSum - (targetSum * targetSum) / values;
  return {
    rmse: Math.sqrt(squaredErrorSum / values),
    mae: absoluteErrorSum / values,
    ...(spread > 0 ? { r2: 1 - squaredErrorSum / spread } : {}),
  };
}
