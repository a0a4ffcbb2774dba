import type { GraphWriter } from '../graph-writer';
import { sizeOf } from '../onnx/graph';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import type { At, Rule } from './rule';
import { row } from './rule';

/*
 * Resize is linear in its input and works on one axis after the other: along each axis Y = M X with a matrix that is
 * known when the shapes are. So dX = Mᵀ dY, whatever the mode. Source: ONNX Resize-19.
 */

interface Axis {
  readonly size: number;
  readonly out: number;
  /** Output over input, as the coordinates are computed with. */
  readonly scale: number;
}
interface Mode {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubicA: number;
  readonly excludeOutside: boolean;
  readonly antialias: boolean;
}

function modeOf(at: At): Mode {
  const mode: Mode = {
    mode: at.text('mode', 'nearest'),
    coordinates: at.text('coordinate_transformation_mode', 'half_pixel'),
    nearest: at.text('nearest_mode', 'round_prefer_floor'),
    cubicA: at.float('cubic_coeff_a', -0.75),
    excludeOutside: at.int('exclude_outside', 0) === 1,
    antialias: at.int('antialias', 0) === 1,
  };
  if (mode.coordinates === 'tf_crop_and_resize') throw at.refuse('coordinate_transformation_mode tf_crop_and_resize', 'half_pixel or align_corners');
  const policy = at.text('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') throw at.refuse(`keep_aspect_ratio_policy ${policy}`, 'keep_aspect_ratio_policy stretch');
  return mode;
}

interface Inputs {
  readonly X: Value;
  readonly scales?: Value | undefined;
  readonly sizes?: Value | undefined;
}

/** How each axis of X is resized. */
function axesOf({ X, scales, sizes }: Inputs, at: At): Axis[] {
  const along = at.ints('axes')?.map((axis) => axisOf(axis, X.shape.length)) ?? X.shape.map((_, i) => i);
  const axes = X.shape.map((size): Axis => ({ size, out: size, scale: 1 }));
  const factors = scales && scales.shape[0] !== 0 ? at.known(scales, 'scales') : undefined;
  const wanted = sizes ? at.known(sizes, 'sizes') : undefined;
  if (!factors && !wanted) throw at.refuse('neither scales nor sizes', 'one of the two');
  along.forEach((axis, i) => {
    const size = X.shape[axis] ?? 1;
    const out = wanted?.[i] ?? Math.floor(size * (factors?.[i] ?? 1));
    axes[axis] = { size, out, scale: factors?.[i] ?? out / size };
  });
  return axes;
}

/** Where an output element lies in the input. */
function coordinate({ size, out, scale }: Axis, i: number, mode: string): number {
  switch (mode) {
    case 'asymmetric':
      return i / scale;
    case 'align_corners':
      return out === 1 ? 0 : (i * (size - 1)) / (out - 1);
    case 'pytorch_half_pixel':
      return out === 1 ? 0 : (i + 0.5) / scale - 0.5;
    case 'half_pixel_symmetric': {
      // The output's own rounding is shared by both ends.
      const adjustment = out / (scale * size);
      return (size / 2) * (1 - adjustment) + (i + 0.5) / scale - 0.5;
    }
    default:
      return (i + 0.5) / scale - 0.5;
  }
}

function nearestIndex(x: number, mode: string): number {
  switch (mode) {
    case 'floor':
      return Math.floor(x);
    case 'ceil':
      return Math.ceil(x);
    case 'round_prefer_ceil':
      return Math.floor(x + 0.5);
    default:
      return Math.ceil(x - 0.5);
  }
}

const triangle = (x: number): number => Math.max(0, 1 - Math.abs(x));
/** Keys's cubic convolution kernel. */
function cubic(x: number, a: number): number {
  const d = Math.abs(x);
  if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
  return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
}

/** The matrix `[out, size]` of one axis, row after row. */
function matrixOf(axis: Axis, mode: Mode): Float32Array {
  const { size, out, scale } = axis;
  const matrix = new Float32Array(out * size);
  const clamped = (at: number) => Math.max(0, Math.min(size - 1, at));
  for (let i = 0; i < out; i++) {
    const x = coordinate(axis, i, mode.coordinates);
    if (mode.mode === 'nearest') {
      // Through float32, as ONNX Runtime computes it: a half must round the same way.
      matrix[i * size + clamped(nearestIndex(Math.fround(x), mode.nearest))] = 1;
      continue;
    }
    // An antialiased filter is as wide as the output elements are.
    const shrink = mode.antialias ? Math.min(1, scale) : 1;
    const support = (mode.mode === 'cubic' ? 2 : 1) / shrink;
    const kernel = (distance: number) => (mode.mode === 'cubic' ? cubic(distance * shrink, mode.cubicA) : triangle(distance * shrink));
    const centre = mode.mode === 'cubic' || mode.antialias ? x : clamped(x);
    const first = Math.floor(centre - support) + 1;
    const last = Math.ceil(centre + support) - 1;
    const taps: [number, number][] = [];
    for (let tap = first; tap <= Math.max(last, first); tap++) {
      const outside = tap < 0 || tap >= size;
      if (outside && mode.excludeOutside) continue;
      taps.push([clamped(tap), kernel(tap - centre)]);
    }
    const total = mode.excludeOutside || mode.antialias ? taps.reduce((sum, [, weight]) => sum + weight, 0) : 1;
    for (const [tap, weight] of taps) matrix[i * size + tap] = (matrix[i * size + tap] ?? 0) + weight / total;
  }
  return matrix;
}

/** True when every input element appears `factor` times in a row. */
const repeats = (matrix: Float32Array, { size, out }: Axis): boolean =>
  out % size === 0 && Array.from({ length: out }, (_, i) => i).every((i) => matrix[i * size + Math.floor(i / (out / size))] === 1);

/** Mᵀ along one axis of dY: a sum over repeats where M only repeats, else a product. */
function transposed(g: GraphWriter, dY: Value, at: number, axis: Axis, mode: Mode): Value {
  const { size, out } = axis;
  const matrix = matrixOf(axis, mode);
  if (repeats(matrix, axis)) {
    const split = dY.shape.toSpliced(at, 1, size, out / size);
    return g.sum(g.reshape(dY, split), [at + 1]);
  }
  const M = g.constant({ type: 'float32', shape: [out, size], data: matrix });
  const [before, after] = [sizeOf(dY.shape.slice(0, at)), sizeOf(dY.shape.slice(at + 1))];
  const product = after === 1 ? g.gemm(g.reshape(dY, [before, out]), M) : g.matmul(g.swapLast(M), g.reshape(dY, [before, out, after]));
  return g.reshape(product, dY.shape.with(at, size));
}

export const resizeRules: Record<string, Rule> = {
  Resize: row(['X', 'roi?', 'scales?', 'sizes?'], {
    shape: (inputs, at) => axesOf(inputs, at).map(({ out }) => out),
    gradient: (inputs, dY, g, at) => ({
      X: () => {
        const mode = modeOf(at);
        return axesOf(inputs, at).reduce(
          (value, axis, i) => (axis.size === axis.out && axis.scale === 1 ? value : transposed(g, value, i, axis, mode)),
          dY,
        );
      },
    }),
  }),
};
