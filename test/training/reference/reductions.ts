import type { Array64, Forward, Options } from './arrays';
import { at, axisOf, build, flatOf, groups, list, logSumExp, number, sum } from './arrays';

const reduce =
  (f: (values: number[]) => number): Forward =>
  ([X, axesInput], options) => {
    const rank = X!.shape.length;
    const axes = (axesInput?.data ?? list(options.axes, [...X!.shape.keys()])).map((axis) => axisOf(axis, rank));
    const keep = number(options.keepdims, 1) === 1;
    const shape = keep ? X!.shape.map((axis, i) => (axes.includes(i) ? 1 : axis)) : X!.shape.filter((_, i) => !axes.includes(i));
    return [{ shape, data: groups(X!, axes).map(({ values }) => f(values)) }];
  };
/** Takes the log-sum-exp along one axis away from each element. */
export const logSoftmax = (X: Array64, options: Options): Array64 => {
  const axis = axisOf(number(options.axis, -1), X.shape.length);
  const kept = X.shape.with(axis, 1);
  const totals = groups(X, [axis]).map(({ values }) => logSumExp(values));
  return build(X.shape, (index) => at(X, index) - totals[flatOf(index.with(axis, 0), kept)]!);
};

export const reductions: Record<string, Forward> = {
  ReduceSum: reduce(sum),
  ReduceMean: reduce((values) => sum(values) / values.length),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceProd: reduce((values) => values.reduce((product, value) => product * value, 1)),
  ReduceMin: reduce((values) => Math.min(...values)),
  ReduceSumSquare: reduce((values) => sum(values.map((value) => value ** 2))),
  ReduceL1: reduce((values) => sum(values.map(Math.abs))),
  ReduceL2: reduce((values) => Math.hypot(...values)),
  ReduceLogSum: reduce((values) => Math.log(sum(values))),
  ReduceLogSumExp: reduce(logSumExp),
  LogSoftmax: ([X], options) => [logSoftmax(X!, options)],
  Softmax: ([X], options) => {
    const { shape, data } = logSoftmax(X!, options);
    return [{ shape, data: data.map(Math.exp) }];
  },
};
