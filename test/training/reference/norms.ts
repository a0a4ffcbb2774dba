import type { Array64, Forward } from './arrays';
import { at, axisOf, build, flatOf, groups, list, number, stretch, sum } from './arrays';

/** Normalises over `axes` with the biased variance. */
function normalise(X: Array64, axes: readonly number[], epsilon: number): Array64 {
  const kept = X.shape.map((axis, i) => (axes.includes(i) ? 1 : axis));
  const stats = groups(X, axes).map(({ values }) => {
    const mean = sum(values) / values.length;
    return { mean, inv: 1 / Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length + epsilon) };
  });
  return build(X.shape, (index) => {
    const { mean, inv } =
      stats[
        flatOf(
          index.map((part, i) => (axes.includes(i) ? 0 : part)),
          kept,
        )
      ]!;
    return (at(X, index) - mean) * inv;
  });
}
const channelAffine = (hat: Array64, scale: Array64, bias: Array64): Array64 =>
  build(hat.shape, (index) => at(hat, index) * scale.data[index[1]!]! + bias.data[index[1]!]!);

export const norms: Record<string, Forward> = {
  BatchNormalization: ([X, scale, bias], { epsilon }) => {
    const axes = [...X!.shape.keys()].filter((axis) => axis !== 1);
    return [channelAffine(normalise(X!, axes, number(epsilon, 1e-5)), scale!, bias!)];
  },
  LayerNormalization: ([X, scale, bias], { axis, epsilon }) => {
    const from = axisOf(number(axis, -1), X!.shape.length);
    const hat = normalise(X!, [...X!.shape.keys()].slice(from), number(epsilon, 1e-5));
    return [build(X!.shape, (index) => at(hat, index) * stretch(scale!, index) + (bias ? stretch(bias, index) : 0))];
  },
  InstanceNormalization: ([X, scale, bias], { epsilon }) => [
    channelAffine(normalise(X!, [...X!.shape.keys()].slice(2), number(epsilon, 1e-5)), scale!, bias!),
  ],
  GroupNormalization: ([X, scale, bias], { epsilon, num_groups }) => {
    const [n, c, ...spatial] = X!.shape as [number, number, ...number[]];
    const shape = [n, number(num_groups, 1), c / number(num_groups, 1), ...spatial];
    const hat = normalise({ shape, data: X!.data }, [...shape.keys()].slice(2), number(epsilon, 1e-5));
    return [channelAffine({ shape: X!.shape, data: hat.data }, eachChannel(scale!, c), eachChannel(bias!, c))];
  },
  RMSNormalization: ([X, scale], { axis, epsilon }) => {
    const from = axisOf(number(axis, -1), X!.shape.length);
    const axes = [...X!.shape.keys()].slice(from);
    const kept = X!.shape.map((extent, i) => (i < from ? extent : 1));
    const roots = groups(X!, axes).map(({ values }) => Math.sqrt(sum(values.map((value) => value ** 2)) / values.length + number(epsilon, 1e-5)));
    return [
      build(X!.shape, (index) => {
        const key = index.map((part, i) => (i < from ? part : 0));
        return (at(X!, index) / roots[flatOf(key, kept)]!) * stretch(scale!, index);
      }),
    ];
  },
  LpNormalization: ([X], { axis, p }) => {
    const along = axisOf(number(axis, -1), X!.shape.length);
    return [
      build(X!.shape, (index) => {
        const all = Array.from({ length: X!.shape[along]! }, (_, i) => at(X!, index.with(along, i)));
        return at(X!, index) / (p === 1 ? sum(all.map(Math.abs)) : Math.hypot(...all));
      }),
    ];
  },
  MeanVarianceNormalization: ([X], { axes }) => [normalise(X!, list(axes, [0, 2, 3]), 0)],
};

/** A value for each group becomes one for each of its channels. */
const eachChannel = (vector: Array64, channels: number): Array64 =>
  build([channels], ([c]) => vector.data[Math.floor((c! * vector.data.length) / channels)]!);
