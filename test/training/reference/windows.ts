import type { Array64, Forward, Options } from './arrays';
import { at, build, flatOf, groups, indexOf, inside, list, number, size, sum } from './arrays';

interface Window {
  kernel: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  pads: readonly number[];
}
/** Pads of auto_pad: what the outputs' windows reach beyond the input, halved; the odd one where the name says. */
function explicitPads(options: Options, kernel: readonly number[], spatial: readonly number[]): Options {
  const mode = options.auto_pad;
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER') return options;
  const { strides: by, dilations } = windowOf(options, kernel);
  const totals = spatial.map((extent, i) => Math.max(0, (Math.ceil(extent / by[i]!) - 1) * by[i]! + (kernel[i]! - 1) * dilations[i]! + 1 - extent));
  const floors = totals.map((total) => Math.floor(total / 2));
  const ceils = totals.map((total) => Math.ceil(total / 2));
  return { ...options, pads: mode === 'SAME_UPPER' ? [...floors, ...ceils] : [...ceils, ...floors] };
}
const windowOf = (options: Options, kernel: readonly number[]): Window => ({
  kernel,
  strides: list(
    options.strides,
    kernel.map(() => 1),
  ),
  dilations: list(
    options.dilations,
    kernel.map(() => 1),
  ),
  pads: list(
    options.pads,
    [...kernel, ...kernel].map(() => 0),
  ),
});
function outputSpatial(spatial: readonly number[], { kernel, strides: by, dilations, pads }: Window, ceil = false): number[] {
  return spatial.map((axis, i) => {
    const free = axis + pads[i]! + pads[i + spatial.length]! - (kernel[i]! - 1) * dilations[i]! - 1;
    const out = (ceil ? Math.ceil(free / by[i]!) : Math.floor(free / by[i]!)) + 1;
    return ceil && (out - 1) * by[i]! >= axis + pads[i]! ? out - 1 : out;
  });
}
/** Calls `visit` with each tap's input position for one output position; positions in the padding too. */
function taps(out: readonly number[], { kernel, strides: by, dilations, pads }: Window, visit: (tap: number[], position: number[]) => void): void {
  for (let flat = 0; flat < size(kernel); flat++) {
    const tap = indexOf(flat, kernel);
    visit(
      tap,
      tap.map((k, i) => out[i]! * by[i]! + k * dilations[i]! - pads[i]!),
    );
  }
}
const pool =
  (f: (values: number[], count: number) => number): Forward =>
  ([X], options) => {
    const window = windowOf(options, list(options.kernel_shape, []));
    const spatial = X!.shape.slice(2);
    const shape = [...X!.shape.slice(0, 2), ...outputSpatial(spatial, window, number(options.ceil_mode, 0) === 1)];
    return [
      build(shape, ([n, c, ...out]) => {
        const values: number[] = [];
        let padded = 0;
        taps(out, window, (_, position) => {
          if (inside(position, spatial)) values.push(at(X!, [n!, c!, ...position]));
          const within = position.every((value, i) => value >= -window.pads[i]! && value < spatial[i]! + window.pads[i + spatial.length]!);
          if (within) padded++;
        });
        return f(values, number(options.count_include_pad, 0) === 1 ? padded : values.length);
      }),
    ];
  };

export const windows: Record<string, Forward> = {
  Conv: ([X, W, B], options) => {
    const spatial = X!.shape.slice(2);
    const window = windowOf(explicitPads(options, W!.shape.slice(2), spatial), W!.shape.slice(2));
    const perGroup = W!.shape[1]!;
    const filters = W!.shape[0]! / number(options.group, 1);
    return [
      build([X!.shape[0]!, W!.shape[0]!, ...outputSpatial(spatial, window)], ([n, m, ...out]) => {
        let total = B?.data[m!] ?? 0;
        taps(out, window, (tap, position) => {
          if (!inside(position, spatial)) return;
          for (let c = 0; c < perGroup; c++) total += at(X!, [n!, Math.floor(m! / filters) * perGroup + c, ...position]) * at(W!, [m!, c, ...tap]);
        });
        return total;
      }),
    ];
  },
  ConvTranspose: ([X, W, B], options) => {
    const explicit = windowOf(options, W!.shape.slice(2));
    const { kernel, strides: by, dilations } = explicit;
    const groupCount = number(options.group, 1);
    const [perGroup, inputs] = [W!.shape[1]!, W!.shape[0]! / groupCount];
    const extra = list(
      options.output_padding,
      kernel.map(() => 0),
    );
    const unpadded = kernel.map((k, i) => (X!.shape[i + 2]! - 1) * by[i]! + (k - 1) * dilations[i]! + 1 + extra[i]!);
    const same = `${options.auto_pad as string}`.startsWith('SAME') ? kernel.map((_, i) => X!.shape[i + 2]! * by[i]!) : undefined;
    const wanted = Array.isArray(options.output_shape) ? (options.output_shape as number[]) : same;
    const totals = wanted && unpadded.map((extent, i) => Math.max(0, extent - wanted[i]!));
    const begins = totals?.map((total) => (options.auto_pad === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)));
    const pads = totals && begins ? [...begins, ...totals.map((total, i) => total - begins[i]!)] : explicit.pads;
    const window = { ...explicit, pads };
    const spatial = wanted ?? unpadded.map((extent, i) => extent - pads[i]! - pads[i + kernel.length]!);
    const shape = [X!.shape[0]!, perGroup * groupCount, ...spatial];
    const data = new Array<number>(size(shape)).fill(0);
    X!.data.forEach((value, flat) => {
      const [n, c, ...from] = indexOf(flat, X!.shape);
      taps(from, window, (tap, position) => {
        if (!inside(position, spatial)) return;
        for (let m = 0; m < perGroup; m++)
          data[flatOf([n!, Math.floor(c! / inputs) * perGroup + m, ...position], shape)]! += value * at(W!, [c!, m, ...tap]);
      });
    });
    return [build(shape, (index) => data[flatOf(index, shape)]! + (B?.data[index[1]!] ?? 0))];
  },
  MaxPool: pool((values) => Math.max(...values)),
  AveragePool: pool((values, count) => sum(values) / count),
  GlobalAveragePool: ([X]) => overSpace(X!, (values) => sum(values) / values.length),
  GlobalMaxPool: ([X]) => overSpace(X!, (values) => Math.max(...values)),
  /** Along each axis an element is a weighted sum of its neighbours; over all axes the weights multiply. */
  Resize: ([X, , scales, sizes], options) => {
    const shape = X!.shape.map((extent, i) => sizes?.data[i] ?? Math.floor(extent * scales!.data[i]!));
    const neighbours = shape.map((out, axis) =>
      Array.from({ length: out }, (_, i) => neighboursOf(i, X!.shape[axis]!, out, scales?.data[axis] ?? out / X!.shape[axis]!, options)),
    );
    return [
      build(shape, (index) => {
        const choices = index.map((i, axis) => neighbours[axis]![i]!);
        const counts = choices.map(({ length }) => length);
        let total = 0;
        for (let flat = 0; flat < size(counts); flat++) {
          const chosen = indexOf(flat, counts).map((k, axis) => choices[axis]![k]!);
          total +=
            at(
              X!,
              chosen.map(({ from }) => from),
            ) * chosen.reduce((product, { weight }) => product * weight, 1);
        }
        return total;
      }),
    ];
  },
  LRN: ([X], { size: count, alpha, beta, bias }) => {
    const [width, channels] = [number(count, 1), X!.shape[1]!];
    return [
      build(X!.shape, (index) => {
        const [from, to] = [index[1]! - Math.floor((width - 1) / 2), index[1]! + Math.ceil((width - 1) / 2)];
        const near = Array.from({ length: channels }, (_, c) => c).filter((c) => c >= from && c <= to);
        const squares = sum(near.map((c) => at(X!, index.with(1, c)) ** 2));
        return at(X!, index) / (number(bias, 1) + (number(alpha, 1e-4) / width) * squares) ** number(beta, 0.75);
      }),
    ];
  },
  Col2Im: ([X, image, block], options) => {
    const [spatial, kernel] = [image!.data, block!.data];
    const window = windowOf(options, kernel);
    const counts = outputSpatial(spatial, window);
    const channels = X!.shape[1]! / size(kernel);
    const shape = [X!.shape[0]!, channels, ...spatial];
    const data = new Array<number>(size(shape)).fill(0);
    X!.data.forEach((value, flat) => {
      const [n, row, column] = indexOf(flat, X!.shape) as [number, number, number];
      const tap = indexOf(row % size(kernel), kernel);
      const position = indexOf(column, counts).map((out, i) => out * window.strides[i]! + tap[i]! * window.dilations[i]! - window.pads[i]!);
      if (inside(position, spatial)) data[flatOf([n, Math.floor(row / size(kernel)), ...position], shape)]! += value;
    });
    return [{ shape, data }];
  },
  MaxUnpool: ([X, indices, shape]) => {
    const data = new Array<number>(size(shape!.data)).fill(0);
    X!.data.forEach((value, flat) => (data[indices!.data[flat]!] = value));
    return [{ shape: shape!.data, data }];
  },
  GridSample: ([X, grid], { mode, padding_mode, align_corners }) => {
    const [n, c, h, w] = X!.shape as [number, number, number, number];
    const aligned = number(align_corners, 0) === 1;
    const place = (unit: number, extent: number) => {
      const x = aligned ? ((unit + 1) / 2) * (extent - 1) : ((unit + 1) * extent - 1) / 2;
      if (padding_mode === 'border') return clamp(x, extent);
      if (padding_mode !== 'reflection') return x;
      const [low, high] = aligned ? [0, extent - 1] : [-0.5, extent - 0.5];
      let mirrored = x;
      while (mirrored < low || mirrored > high) mirrored = mirrored < low ? 2 * low - mirrored : 2 * high - mirrored;
      return clamp(mirrored, extent);
    };
    const [, rows, columns] = grid!.shape as [number, number, number, number];
    return [
      build([n, c, rows, columns], ([i, d, row, column]) => {
        const read = (y: number, x: number) => (inside([y, x], [h, w]) ? at(X!, [i!, d!, y, x]) : 0);
        const [x, y] = [place(at(grid!, [i!, row!, column!, 0]), w), place(at(grid!, [i!, row!, column!, 1]), h)];
        if (mode === 'nearest') return read(Math.round(y), Math.round(x));
        const [left, top] = [Math.floor(x), Math.floor(y)];
        const corners = [0, 1].flatMap((dy) => [0, 1].map((dx) => ({ dy, dx })));
        return sum(corners.map(({ dy, dx }) => read(top + dy, left + dx) * (1 - Math.abs(y - top - dy)) * (1 - Math.abs(x - left - dx))));
      }),
    ];
  },
  AffineGrid: ([theta, shape], { align_corners }) => {
    const [n, , ...spatial] = shape!.data as [number, number, ...number[]];
    const place = (i: number, extent: number) => (align_corners ? (2 * i) / (extent - 1) - 1 : (2 * i + 1) / extent - 1);
    return [
      build([n, ...spatial, spatial.length], (index) => {
        const point = [
          ...index
            .slice(1, -1)
            .map((i, axis) => place(i, spatial[axis]!))
            .reverse(),
          1,
        ];
        return sum(point.map((value, k) => value * at(theta!, [index[0]!, index.at(-1)!, k])));
      }),
    ];
  },
};

const clamp = (x: number, extent: number) => Math.min(Math.max(x, 0), extent - 1);
const overSpace = (X: Array64, f: (values: number[]) => number): Array64[] => {
  const axes = [...X.shape.keys()].slice(2);
  return [{ shape: X.shape.map((extent, i) => (i < 2 ? extent : 1)), data: groups(X, axes).map(({ values }) => f(values)) }];
};

/** Which input elements make output element `i` of one axis, after the specification's own Python. */
function neighboursOf(i: number, extent: number, out: number, scale: number, options: Options): { from: number; weight: number }[] {
  const { mode = 'nearest', coordinate_transformation_mode: coordinates = 'half_pixel', nearest_mode: rounding = 'round_prefer_floor' } = options;
  if (extent === out && scale === 1) return [{ from: i, weight: 1 }];
  const original = {
    half_pixel: (i + 0.5) / scale - 0.5,
    half_pixel_symmetric: (extent / 2) * (1 - out / (scale * extent)) + (i + 0.5) / scale - 0.5,
    pytorch_half_pixel: out === 1 ? 0 : (i + 0.5) / scale - 0.5,
    align_corners: out === 1 ? 0 : (i * (extent - 1)) / (out - 1),
    asymmetric: i / scale,
  }[coordinates as string]!;
  if (mode === 'nearest') {
    const rounded = {
      round_prefer_floor: original % 1 === 0.5 ? Math.floor(original) : Math.round(original),
      round_prefer_ceil: Math.round(original),
      floor: Math.floor(original),
      ceil: Math.ceil(original),
    }[rounding as string]!;
    return [{ from: clamp(rounded, extent), weight: 1 }];
  }
  const a = number(options.cubic_coeff_a, -0.75);
  const cubic = (d: number) => (d <= 1 ? (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1 : d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0);
  const kernel = mode === 'cubic' ? cubic : (d: number) => Math.max(0, 1 - d);
  const narrow = options.antialias ? Math.min(1, scale) : 1;
  const taps: { from: number; weight: number }[] = [];
  for (let tap = Math.floor(original) - 20; tap <= Math.floor(original) + 20; tap++) {
    const weight = kernel(Math.abs(tap - original) * narrow);
    if (weight === 0 || (options.exclude_outside && (tap < 0 || tap >= extent))) continue;
    taps.push({ from: clamp(tap, extent), weight });
  }
  const total = options.exclude_outside || options.antialias ? sum(taps.map(({ weight }) => weight)) : 1;
  return taps.map(({ from, weight }) => ({ from, weight: weight / total }));
}
