import type { Array64, Forward, Options } from './arrays';
import { at, axisOf, broadcast, build, inside, list, number, size, stretch, sum } from './arrays';

const moved =
  (shapeOf: (X: Array64, second: Array64 | undefined, options: Options) => number[]): Forward =>
  ([X, second], options) => [{ shape: shapeOf(X!, second, options), data: X!.data }];

export const shapes: Record<string, Forward> = {
  Reshape: moved((X, shape) => {
    const wanted = shape!.data.map((axis, i) => (axis === 0 ? X.shape[i]! : axis));
    return wanted.map((axis) => (axis === -1 ? -X.data.length / size(wanted) : axis));
  }),
  Flatten: moved((X, _, { axis }) => [size(X.shape.slice(0, number(axis, 1))), size(X.shape.slice(number(axis, 1)))]),
  Squeeze: moved((X, axes) => X.shape.filter((axis, i) => (axes ? !axes.data.map((a) => axisOf(a, X.shape.length)).includes(i) : axis !== 1))),
  Unsqueeze: moved((X, axes) => {
    const rank = X.shape.length + axes!.data.length;
    const added = axes!.data.map((axis) => axisOf(axis, rank));
    const rest = [...X.shape];
    return Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : rest.shift()!));
  }),
  Transpose: ([X], { perm }) => {
    const order = list(perm, [...X!.shape.keys()].reverse());
    const shape = order.map((axis) => X!.shape[axis]!);
    return [
      build(shape, (index) =>
        at(
          X!,
          order.map((_, i) => index[order.indexOf(i)]!),
        ),
      ),
    ];
  },
  Expand: ([X, shape]) => [build(broadcast(X!.shape, shape!.data), (index) => stretch(X!, index))],
  Tile: ([X, repeats]) => [
    build(
      X!.shape.map((axis, i) => axis * repeats!.data[i]!),
      (index) =>
        at(
          X!,
          index.map((part, i) => part % X!.shape[i]!),
        ),
    ),
  ],
  Concat: (inputs, { axis }) => {
    const all = inputs as Array64[];
    const along = axisOf(number(axis, 0), all[0]!.shape.length);
    const shape = all[0]!.shape.with(along, sum(all.map((x) => x.shape[along]!)));
    return [
      build(shape, (index) => {
        let offset = index[along]!;
        for (const x of all) {
          if (offset < x.shape[along]!) return at(x, index.with(along, offset));
          offset -= x.shape[along]!;
        }
        return NaN;
      }),
    ];
  },
  Split: ([X, sizes], { axis, num_outputs }) => {
    const along = axisOf(number(axis, 0), X!.shape.length);
    const each = Math.ceil(X!.shape[along]! / number(num_outputs, 1));
    const parts = sizes?.data ?? Array.from({ length: number(num_outputs, 1) }, (_, i) => Math.min(each, X!.shape[along]! - i * each));
    let start = 0;
    return parts.map((length) => {
      const from = start;
      start += length;
      return build(X!.shape.with(along, length), (index) => at(X!, index.with(along, index[along]! + from)));
    });
  },
  Slice: ([X, starts, ends, axes, steps]) => {
    const bounds = X!.shape.map((axis) => ({ first: 0, by: 1, length: axis }));
    starts!.data.forEach((start, i) => {
      const axis = axisOf(axes?.data[i] ?? i, X!.shape.length);
      const extent = X!.shape[axis]!;
      const by = steps?.data[i] ?? 1;
      const chosen: number[] = [];
      const resolve = (value: number) => (value < 0 ? value + extent : value);
      const [from, to] = [resolve(start), resolve(ends!.data[i]!)];
      if (by > 0) for (let k = Math.max(from, 0); k < Math.min(to, extent); k += by) chosen.push(k);
      else for (let k = Math.min(from, extent - 1); k > Math.max(to, -1); k += by) chosen.push(k);
      bounds[axis] = { first: chosen[0] ?? 0, by, length: chosen.length };
    });
    return [
      build(
        bounds.map(({ length }) => length),
        (index) =>
          at(
            X!,
            index.map((part, i) => bounds[i]!.first + part * bounds[i]!.by),
          ),
      ),
    ];
  },
  Pad: ([X, listed, , axes], { mode }) => {
    const rank = X!.shape.length;
    const along = axes?.data.map((axis) => axisOf(axis, rank)) ?? [...X!.shape.keys()];
    const padOf = (axis: number, end: number) => (along.includes(axis) ? listed!.data[along.indexOf(axis) + end * along.length]! : 0);
    const pads = [0, 1].flatMap((end) => X!.shape.map((_, axis) => padOf(axis, end)));
    const repeated = (position: number, size: number) => {
      if (mode === 'edge') return Math.min(Math.max(position, 0), size - 1);
      if (mode === 'wrap') return ((position % size) + size) % size;
      let at = position;
      while (at < 0 || at >= size) at = at < 0 ? -at : 2 * (size - 1) - at;
      return at;
    };
    return [
      build(
        X!.shape.map((axis, i) => axis + pads[i]! + pads[i + rank]!),
        (index) => {
          const position = index.map((part, i) => part - pads[i]!);
          if (inside(position, X!.shape)) return at(X!, position);
          return typeof mode === 'string'
            ? at(
                X!,
                position.map((part, axis) => repeated(part, X!.shape[axis]!)),
              )
            : 0;
        },
      ),
    ];
  },
  Trilu: ([X, k], { upper }) => [
    build(X!.shape, (index) => {
      const offset = index.at(-1)! - index.at(-2)! - (k?.data[0] ?? 0);
      return (number(upper, 1) === 1 ? offset >= 0 : offset <= 0) ? at(X!, index) : 0;
    }),
  ],
  CumSum: ([X, axis], { exclusive, reverse }) => {
    const along = axisOf(axis!.data[0]!, X!.shape.length);
    const length = X!.shape[along]!;
    return [
      build(X!.shape, (index) => {
        const here = index[along]!;
        const earlier = Array.from({ length }, (_, i) => i).filter((i) => (reverse ? i > here : i < here) || (!exclusive && i === here));
        return sum(earlier.map((i) => at(X!, index.with(along, i))));
      }),
    ];
  },
  ReverseSequence: ([X, lengths], { time_axis, batch_axis }) => [
    build(X!.shape, (index) => {
      const [t, b] = [number(time_axis, 0), number(batch_axis, 1)];
      const length = lengths!.data[index[b]!]!;
      return at(X!, index[t]! < length ? index.with(t, length - 1 - index[t]!) : index);
    }),
  ],
  DepthToSpace: ([X], { blocksize, mode }) => {
    const [n, c, h, w] = X!.shape as [number, number, number, number];
    const b = number(blocksize, 1);
    const depth = c / (b * b);
    return [
      build([n, depth, h * b, w * b], ([i, d, y, x]) => {
        const tap = (y! % b) * b + (x! % b);
        return at(X!, [i!, mode === 'CRD' ? d! * b * b + tap : tap * depth + d!, Math.floor(y! / b), Math.floor(x! / b)]);
      }),
    ];
  },
  SpaceToDepth: ([X], { blocksize }) => {
    const [n, c, h, w] = X!.shape as [number, number, number, number];
    const b = number(blocksize, 1);
    return [
      build([n, c * b * b, h / b, w / b], ([i, d, y, x]) => {
        const tap = Math.floor(d! / c);
        return at(X!, [i!, d! % c, y! * b + Math.floor(tap / b), x! * b + (tap % b)]);
      }),
    ];
  },
};
