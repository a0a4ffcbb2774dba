import type { Array64, Forward } from './arrays';
import { at, broadcast, build, flatOf, indexOf, number, size, stretch, sum } from './arrays';

export const products: Record<string, Forward> = {
  MatMul: ([A, B]) => {
    const a = A!.shape.length === 1 ? { shape: [1, ...A!.shape], data: A!.data } : A!;
    const b = B!.shape.length === 1 ? { shape: [...B!.shape, 1], data: B!.data } : B!;
    const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), a.shape.at(-2)!, b.shape.at(-1)!];
    const matrix = (x: Array64, lead: readonly number[], i: number, j: number) => {
      const batch = x.shape.slice(0, -2).map((axis, k) => (axis === 1 ? 0 : lead[lead.length - x.shape.length + 2 + k]!));
      return at(x, [...batch, i, j]);
    };
    const product = build(shape, (index) => {
      const lead = index.slice(0, -2);
      return sum(Array.from({ length: a.shape.at(-1)! }, (_, k) => matrix(a, lead, index.at(-2)!, k) * matrix(b, lead, k, index.at(-1)!)));
    });
    const dropped = [A!.shape.length === 1 ? shape.length - 2 : -1, B!.shape.length === 1 ? shape.length - 1 : -1];
    return [{ shape: shape.filter((_, axis) => !dropped.includes(axis)), data: product.data }];
  },
  Gemm: ([A, B, C], { transA, transB, alpha, beta }) => {
    const a = (i: number, k: number) => at(A!, transA ? [k, i] : [i, k]);
    const b = (k: number, j: number) => at(B!, transB ? [j, k] : [k, j]);
    const inner = A!.shape[transA ? 0 : 1]!;
    const shape = [A!.shape[transA ? 1 : 0]!, B!.shape[transB ? 0 : 1]!];
    return [
      build(
        shape,
        (index) =>
          number(alpha, 1) * sum(Array.from({ length: inner }, (_, k) => a(index[0]!, k) * b(k, index[1]!))) +
          (C ? number(beta, 1) * stretch(C, index) : 0),
      ),
    ];
  },
  /** Every assignment of a number to every letter, one product each. An ellipsis stands for one axis named `.`. */
  Einsum: (inputs, { equation }) => {
    const all = inputs as Array64[];
    const [left, right] = (equation as string).replaceAll(' ', '').replaceAll('...', '.').split('->') as [string, string];
    const terms = left.split(',').map((term) => [...term]);
    const sizes = new Map<string, number>();
    terms.forEach((term, i) => term.forEach((letter, axis) => sizes.set(letter, Math.max(sizes.get(letter) ?? 1, all[i]!.shape[axis]!))));
    const letters = [...sizes.keys()];
    const outputs = [...right];
    const shape = outputs.map((letter) => sizes.get(letter)!);
    const data = new Array<number>(size(shape)).fill(0);
    const whole = letters.map((letter) => sizes.get(letter)!);
    for (let flat = 0; flat < size(whole); flat++) {
      const index = indexOf(flat, whole);
      const of = (letter: string) => index[letters.indexOf(letter)]!;
      const factors = terms.map((term, i) =>
        at(
          all[i]!,
          term.map((letter, axis) => (all[i]!.shape[axis] === 1 ? 0 : of(letter))),
        ),
      );
      data[flatOf(outputs.map(of), shape)]! += factors.reduce((product, factor) => product * factor, 1);
    }
    return [{ shape, data }];
  },
};
