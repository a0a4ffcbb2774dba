import type { GraphWriter } from '../graph-writer';
import { floatTensor, int } from '../onnx/graph';
import type { Value } from '../shapes';
import type { At } from '../vjp/rule';
import { inputsOf } from '../vjp/rule';
import type { Lowering } from './lowering';

/** Mirrors coordinates at the borders as often as needed. */
function reflected(g: GraphWriter, x: Value, low: number, high: number): Value {
  const span = high - low;
  if (span === 0) return g.mul(x, 0);
  const distance = g.unary('Abs', g.sub(x, low));
  const turns = g.unary('Floor', g.mul(distance, 1 / span));
  const rest = g.sub(distance, g.mul(turns, span));
  const odd = g.sub(turns, g.mul(g.unary('Floor', g.mul(turns, 0.5)), 2));
  return g.where(g.compare('Greater', odd, 0.5), g.sub(high, rest), g.add(rest, low));
}

const clipped = (g: GraphWriter, x: Value, high: number): Value => g.emit('Clip', [x, g.scalar(0, x.type), g.scalar(high, x.type)], x);

/** Samples images `[N, C, H, W]` at `grid` `[N, H', W', 2]`, whose -1 and 1 are the borders. Source: ONNX GridSample-22. */
const gridSample: Lowering = (at, g) => {
  const { X, grid } = inputsOf(at, ['X', 'grid']);
  const [samples = 1, channels = 1, height = 1, width = 1] = X.shape;
  if (X.shape.length !== 4) throw at.refuse(`an input of rank ${X.shape.length}`, 'images [N, C, H, W]');
  const mode = at.text('mode', 'linear');
  if (mode === 'cubic') throw at.refuse('mode cubic', 'mode linear or nearest');
  const [, rows = 1, columns = 1] = grid.shape;
  const points = rows * columns;
  const [gx, gy] = g.split(g.reshape(grid, [samples, points, 2]), 2, [1, 1]) as [Value, Value];
  const padding = at.text('padding_mode', 'zeros');

  const positions = (coordinates: Value, size: number): Value => {
    const aligned = at.int('align_corners', 0) === 1;
    const unit = g.reshape(coordinates, [samples, 1, points]);
    const x = aligned ? g.mul(g.add(unit, 1), (size - 1) / 2) : g.sub(g.mul(g.add(unit, 1), size / 2), 0.5);
    if (padding === 'border') return clipped(g, x, size - 1);
    return padding === 'reflection' ? clipped(g, aligned ? reflected(g, x, 0, size - 1) : reflected(g, x, -0.5, size - 0.5), size - 1) : x;
  };
  const flat = g.reshape(X, [samples, channels, height * width]);
  /** The elements at whole coordinates, 0 outside. */
  const read = (x: Value, y: Value): Value => {
    const [cx, cy] = [clipped(g, x, width - 1), clipped(g, y, height - 1)];
    const index = g.cast(g.add(g.mul(cy, width), cx), 'int64');
    const wide = g.expand(index, [samples, channels, points]);
    const values = g.emit('GatherElements', [flat, wide], { shape: wide.shape, type: X.type }, { axis: int(2) });
    if (padding !== 'zeros') return values;
    const inside = g.mul(g.mask(g.compare('Equal', x, cx)), g.mask(g.compare('Equal', y, cy)));
    return g.mul(values, inside);
  };

  const [x, y] = [positions(gx, width), positions(gy, height)];
  const shape = [samples, channels, rows, columns];
  if (mode === 'nearest') return [g.reshape(read(g.unary('Round', x), g.unary('Round', y)), shape)];
  const [left, top] = [g.unary('Floor', x), g.unary('Floor', y)];
  const [dx, dy] = [g.sub(x, left), g.sub(y, top)];
  const row = (line: Value) => g.add(g.mul(read(left, line), g.sub(1, dx)), g.mul(read(g.add(left, 1), line), dx));
  return [g.reshape(g.add(g.mul(row(top), g.sub(1, dy)), g.mul(row(g.add(top, 1)), dy)), shape)];
};

/** The grid of an affine map `[N, 2, 3]` (or `[N, 3, 4]`). Source: ONNX AffineGrid-20. */
const affineGrid: Lowering = (at: At, g) => {
  const { theta, size } = inputsOf(at, ['theta', 'size']);
  const [samples = 1, , ...spatial] = at.known(size, 'size');
  const aligned = at.int('align_corners', 0) === 1;
  const place = (extent: number, i: number) => (aligned ? (extent === 1 ? 0 : (2 * i) / (extent - 1) - 1) : (2 * i + 1) / extent - 1);
  const count = spatial.reduce((product, extent) => product * extent, 1);
  const base: number[] = [];
  for (let flat = 0; flat < count; flat++) {
    const index = spatial.map((extent, axis) => Math.floor(flat / spatial.slice(axis + 1).reduce((product, other) => product * other, 1)) % extent);
    // x runs along the last axis.
    base.push(...index.map((i, axis) => place(spatial[axis] ?? 1, i)).reverse(), 1);
  }
  const points = g.constant(floatTensor([1, count, spatial.length + 1], base));
  const grid = g.matmul(g.expand(points, [samples, count, spatial.length + 1]), g.swapLast(theta));
  return [g.reshape(grid, [samples, ...spatial, spatial.length])];
};

export const samplingLowerings: Readonly<Record<string, Lowering>> = { GridSample: gridSample, AffineGrid: affineGrid };
