import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nnls } from '../../scheduler/model/nnls';

interface Case {
  readonly kind: string;
  readonly a: number[][];
  readonly b: number[];
  readonly x: number[];
  readonly residual: number;
}
const { cases } = JSON.parse(readFileSync(join(__dirname, 'fixtures', 'nnls.json'), 'utf8')) as { cases: Case[] };

const residualOf = (a: number[][], b: number[], x: number[]) =>
  Math.sqrt(a.reduce((sum, row, i) => sum + (row.reduce((value, aij, j) => value + aij * x[j]!, 0) - b[i]!) ** 2, 0));

describe('non-negative least squares', () => {
  it.each(cases.map((each, i) => [i, each.kind, each] as const))(
    'leaves the same residual as scipy on case %i (%s)',
    (_i, _kind, { a, b, x, residual }) => {
      const mine = nnls(a, b);
      expect(mine.every((value) => value >= 0)).toBe(true);
      expect(residualOf(a, b, mine)).toBeLessThanOrEqual(residual * (1 + 1e-9) + 1e-9);
      // Fewer rows than columns leave many solutions; the residual is the whole statement there.
      if (a.length >= x.length) mine.forEach((value, j) => expect(value).toBeCloseTo(x[j]!, 6));
    },
  );

  it('answers all zeros when every direction makes it worse', () => {
    expect(
      nnls(
        [
          [1, 2],
          [3, 4],
        ],
        [-1, -1],
      ),
    ).toEqual([0, 0]);
  });

  it('survives columns that are copies of each other', () => {
    const x = nnls(
      [
        [1, 1],
        [2, 2],
        [3, 3],
      ],
      [2, 4, 6],
    );
    expect(x[0]! + x[1]!).toBeCloseTo(2, 9);
  });
});
