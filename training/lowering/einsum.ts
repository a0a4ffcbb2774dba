import type { GraphWriter } from '../graph-writer';
import { sizeOf } from '../onnx/graph';
import type { Value } from '../shapes';
import type { At } from '../vjp/rule';
import type { Lowering } from './lowering';

/** A tensor whose axes have names: one letter each, or the number of an axis that `...` stands for. */
interface Term {
  readonly value: Value;
  readonly labels: readonly string[];
}

/** The names of an operand's axes; those under `...` are numbered from the end, so that they align as in broadcasting. */
function labelsOf(subscript: string, rank: number, at: At): string[] {
  const [before = '', after, ...rest] = subscript.split('...');
  const hidden = rank - before.length - (after?.length ?? 0);
  if (rest.length > 0 || hidden < 0 || (after === undefined && hidden !== 0))
    throw at.refuse(`the term '${subscript}' for an operand of rank ${rank}`, 'as many letters as axes, and at most one ellipsis');
  return [...before, ...Array.from({ length: hidden }, (_, i) => `.${hidden - i}`), ...(after ?? '')];
}

const ordered = (g: GraphWriter, { value, labels }: Term, wanted: readonly string[]): Value =>
  g.transpose(
    value,
    wanted.map((label) => labels.indexOf(label)),
  );

/** Sums over the axes that nothing else mentions. */
function withoutOwn(g: GraphWriter, { value, labels }: Term, needed: ReadonlySet<string>): Term {
  const axes = labels.flatMap((label, i) => (needed.has(label) ? [] : [i]));
  return { value: g.sum(value, axes), labels: labels.filter((label) => needed.has(label)) };
}

/** The product of two terms, summed over the axes that only they share: one batched matrix product. */
function product(g: GraphWriter, a: Term, b: Term, needed: ReadonlySet<string>): Term {
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const summed = shared.filter((label) => !needed.has(label));
  const [left, right] = [a.labels.filter((label) => !shared.includes(label)), b.labels.filter((label) => !shared.includes(label))];
  const sizes = new Map<string, number>();
  for (const { value, labels } of [a, b]) labels.forEach((label, i) => sizes.set(label, Math.max(sizes.get(label) ?? 1, value.shape[i] ?? 1)));
  const extent = (labels: readonly string[]) => sizeOf(labels.map((label) => sizes.get(label) ?? 1));
  // An axis of size 1 under an ellipsis stretches.
  const matrix = (term: Term, order: readonly (readonly string[])[]) => {
    const axes = ordered(g, term, order.flat());
    const stretched = g.expand(
      axes,
      order.flat().map((label) => sizes.get(label) ?? 1),
    );
    return g.reshape(stretched, order.map(extent));
  };
  const multiplied = g.matmul(matrix(a, [batch, left, summed]), matrix(b, [batch, summed, right]));
  const labels = [...batch, ...left, ...right];
  return {
    value: g.reshape(
      multiplied,
      labels.map((label) => sizes.get(label) ?? 1),
    ),
    labels,
  };
}

/** Operands are multiplied from left to right. Source: ONNX Einsum-12. A letter twice in one term (a diagonal) is refused. */
export const einsum: Lowering = (at, g) => {
  const equation = at.text('equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',').map((subscript, i): Term => {
    const value = at.inputs[i];
    if (!value) throw at.refuse(`equation ${equation} with ${at.inputs.length} operands`, 'as many terms as operands');
    const labels = labelsOf(subscript, value.shape.length, at);
    if (new Set(labels).size < labels.length) throw at.refuse(`the diagonal in term '${subscript}'`, 'different letters in each term');
    return { value, labels };
  });
  const all = terms.flatMap(({ labels }) => labels);
  const hidden = [...new Set(all.filter((label) => label.startsWith('.')))].sort((a, b) => Number(b.slice(1)) - Number(a.slice(1)));
  // Without an arrow: what is there once, in the order of the alphabet.
  const once = [...new Set(all)].filter((label) => !label.startsWith('.') && all.indexOf(label) === all.lastIndexOf(label)).sort();
  const wanted =
    right === undefined ? [...hidden, ...once] : labelsOf(right, right.replace('...', '').length + (right.includes('...') ? hidden.length : 0), at);

  const neededAfter = (i: number) => new Set([...wanted, ...terms.slice(i + 1).flatMap(({ labels }) => labels)]);
  let result = terms[0] as Term;
  terms.slice(1).forEach((term, i) => {
    const needed = neededAfter(i + 1);
    const a = withoutOwn(g, result, new Set([...needed, ...term.labels]));
    const b = withoutOwn(g, term, new Set([...needed, ...a.labels]));
    result = product(g, a, b, needed);
  });
  return [ordered(g, withoutOwn(g, result, new Set(wanted)), wanted)];
};
