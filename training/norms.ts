import type { Span } from '../contracts/names';
import { blockLeaves, blockNodes } from '../contracts/tree-nodes';

/*
 * The gradient's global norm, the same bits for every cut into ranges: squares are added in float64 inside each block, then
 * blocks along the binary tree over all blocks (filled up with zeros to a power of two).
 */

/** Four running sums, elements i, i + 4, ... each, so that a SIMD kernel can give the same bits. */
function blockNorm(gradient: Float32Array, start: number, end: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    a += gradient[i]! * gradient[i]!;
    b += gradient[i + 1]! * gradient[i + 1]!;
    c += gradient[i + 2]! * gradient[i + 2]!;
    d += gradient[i + 3]! * gradient[i + 3]!;
  }
  if (i < end) a += gradient[i]! * gradient[i]!;
  if (i + 1 < end) b += gradient[i + 1]! * gradient[i + 1]!;
  if (i + 2 < end) c += gradient[i + 2]! * gradient[i + 2]!;
  return a + b + (c + d);
}

/** Squared norms of the range's maximal block-tree nodes, left to right. `gradient` holds the range's elements only. */
export function rangeNorms(gradient: Float32Array, range: Span, blockElements: number, paramCount: number): Float64Array {
  if (gradient.length !== range.end - range.start)
    throw new Error(`range ${range.start}-${range.end}: expected ${range.end - range.start} elements, got ${gradient.length}`);
  const sumOf = (first: number, count: number): number => {
    const start = first * blockElements - range.start;
    if (start >= gradient.length) return 0;
    if (count === 1) return blockNorm(gradient, start, Math.min(start + blockElements, gradient.length));
    return sumOf(first, count / 2) + sumOf(first + count / 2, count / 2);
  };
  return Float64Array.from(blockNodes(range, blockElements, paramCount), ({ start, end }) => sumOf(start, end - start));
}

/** How many squared norms a range has. */
export function normCount(range: Span, blockElements: number, paramCount: number): number {
  return blockNodes(range, blockElements, paramCount).length;
}

/** The norm of the whole gradient from what all owners published, in any order. */
export function globalNorm(
  perRange: readonly { readonly range: Span; readonly values: Float64Array }[],
  blockElements: number,
  paramCount: number,
): number {
  const known = new Map<string, number>();
  for (const { range, values } of perRange) {
    const nodes = blockNodes(range, blockElements, paramCount);
    if (nodes.length !== values.length) throw new Error(`range ${range.start}-${range.end}: expected ${nodes.length} norms, got ${values.length}`);
    nodes.forEach(({ start, end }, index) => known.set(`${start}-${end}`, values[index]!));
  }
  const sumOf = (start: number, end: number): number => {
    const value = known.get(`${start}-${end}`);
    if (value !== undefined) return value;
    if (end - start === 1) throw new Error(`norm of block ${start} is missing`);
    const middle = (start + end) / 2;
    return sumOf(start, middle) + sumOf(middle, end);
  };
  return Math.sqrt(sumOf(0, blockLeaves(paramCount, blockElements)));
}

/** What the gradient is multiplied with so that its norm is at most `clipNorm`; PyTorch's clip_grad_norm_, as a float32. */
export function clipFactor(norm: number, clipNorm: number): number {
  return Math.fround(Math.min(1, clipNorm / (norm + 1e-6)));
}

/** gradient *= factor, float32. */
export function scaleBy(gradient: Float32Array, factor: number): void {
  for (let i = 0; i < gradient.length; i++) gradient[i] = gradient[i]! * factor;
}
