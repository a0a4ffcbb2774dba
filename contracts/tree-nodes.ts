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
