import type { Forward, Options } from './arrays';
import { at, axisOf, build, flatOf, indexOf, number } from './arrays';

export const gathers: Record<string, Forward> = {
  Gather: ([X, indices], { axis }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    const shape = [...X!.shape.slice(0, along), ...indices!.shape, ...X!.shape.slice(along + 1)];
    const rank = indices!.shape.length;
    return [
      build(shape, (index) => {
        const chosen = axisOf(at(indices!, index.slice(along, along + rank)), X!.shape[along]!);
        return at(X!, [...index.slice(0, along), chosen, ...index.slice(along + rank)]);
      }),
    ];
  },
  GatherElements: ([X, indices], { axis }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    return [build(indices!.shape, (index) => at(X!, index.with(along, axisOf(at(indices!, index), X!.shape[along]!))))];
  },

  GatherND: ([X, indices], { batch_dims }) => {
    const batch = number(batch_dims, 0);
    const depth = indices!.shape.at(-1)!;
    const outer = indices!.shape.slice(0, -1);
    return [
      build([...outer, ...X!.shape.slice(batch + depth)], (index) => {
        const chosen = Array.from({ length: depth }, (_, i) => axisOf(at(indices!, [...index.slice(0, outer.length), i]), X!.shape[batch + i]!));
        return at(X!, [...index.slice(0, batch), ...chosen, ...index.slice(outer.length)]);
      }),
    ];
  },
  ScatterElements: ([X, indices, updates], { axis, reduction }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    const data = [...X!.data];
    updates!.data.forEach((value, flat) => {
      const index = indexOf(flat, updates!.shape);
      const to = flatOf(index.with(along, axisOf(at(indices!, index), X!.shape[along]!)), X!.shape);
      data[to] = combined(data[to]!, value, reduction);
    });
    return [{ shape: X!.shape, data }];
  },
  ScatterND: ([X, indices, updates], { reduction }) => {
    const depth = indices!.shape.at(-1)!;
    const outer = indices!.shape.slice(0, -1);
    const data = [...X!.data];
    updates!.data.forEach((value, flat) => {
      const index = indexOf(flat, updates!.shape);
      const chosen = Array.from({ length: depth }, (_, i) => axisOf(at(indices!, [...index.slice(0, outer.length), i]), X!.shape[i]!));
      const to = flatOf([...chosen, ...index.slice(outer.length)], X!.shape);
      data[to] = combined(data[to]!, value, reduction);
    });
    return [{ shape: X!.shape, data }];
  },
  TopK: ([X, K], { axis, largest }) => {
    const along = axisOf(number(axis, -1), X!.shape.length);
    const sign = number(largest, 1) === 1 ? -1 : 1;
    const sorted = (index: number[]) =>
      Array.from({ length: X!.shape[along]! }, (_, i) => at(X!, index.with(along, i))).sort((a, b) => sign * (a - b));
    return [build(X!.shape.with(along, K!.data[0]!), (index) => sorted(index)[index[along]!]!)];
  },
};

function combined(before: number, update: number, reduction: Options[string]): number {
  switch (reduction) {
    case 'add':
      return before + update;
    case 'max':
      return Math.max(before, update);
    case 'min':
      return Math.min(before, update);
    default:
      return update;
  }
}
