import type { Span } from './names';

export function isPowerOfTwo(n: number): boolean {
  return n >= 1 && Number.isInteger(Math.log2(n));
}

export function checkTotal(total: number): void {
  if (!isPowerOfTwo(total)) throw new Error(`tree over ${total} leaves: expected a power of two`);
}

/** The largest nodes of the tree over [0, total) that lie inside the span, from left to right: one when it is aligned. */
export function treeNodes(span: Span, total: number): Span[] {
  checkTotal(total);
  if (span.start < 0 || span.end > total || span.start > span.end)
    throw new Error(`span ${span.start}-${span.end}: expected a span inside 0-${total}`);
  const nodes: Span[] = [];
  for (let start = span.start; start < span.end;) {
    let size = total;
    while (start % size !== 0 || start + size > span.end) size /= 2;
    nodes.push({ start, end: start + size });
    start += size;
  }
  return nodes;
}

/** Leaves of the tree over the blocks of all parameters: their number, filled up to a power of two. */
export function blockLeaves(paramCount: number, blockElements: number): number {
  let total = 1;
  while (total < Math.ceil(paramCount / blockElements)) total *= 2;
  return total;
}

/** The maximal block-tree nodes of a range, each of which has one norm; the last owner's reach over the zeros behind the end. */
export function blockNodes(range: Span, blockElements: number, paramCount: number): Span[] {
  if (range.start === range.end) return [];
  const onBorder = (element: number) => element % blockElements === 0 || element === paramCount;
  if (!isPowerOfTwo(blockElements) || !onBorder(range.start) || !onBorder(range.end) || range.end > paramCount)
    throw new Error(`range ${range.start}-${range.end} of ${paramCount}: expected borders on blocks of ${blockElements}`);
  const total = blockLeaves(paramCount, blockElements);
  const end = range.end === paramCount ? total : range.end / blockElements;
  return treeNodes({ start: range.start / blockElements, end }, total);
}
