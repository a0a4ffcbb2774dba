import fc from 'fast-check';
import { blockElements, cutRanges } from '../../contracts/cut';
import { clipFactor, globalNorm, rangeNorms, scaleBy } from '../../training/norms';
import { bitsAt, streamOf } from '../../training/random';

/** Numbers of very unlike sizes, so that another order of adding shows. */
const stream = streamOf(7);
const numbers = Float32Array.from(
  { length: 60_000 },
  (_, i) => ((bitsAt(stream, i) - 2 ** 31) / 2 ** 31) * 10 ** ((bitsAt(stream, i + 60_000) % 7) - 3),
);
const gradientOf = (length: number) => numbers.slice(0, length);

describe('the global norm', () => {
  it('has the same bits for every cut into ranges and every order of arrival', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 40 }), fc.nat(), (params, workers, turn) => {
        const block = blockElements(params);
        const gradient = gradientOf(params);
        const normBy = (n: number) => {
          const borders = cutRanges(params, new Array<number>(n).fill(1), block);
          const all = borders.slice(1).map((end, i) => {
            const range = { start: borders[i]!, end };
            return { range, values: rangeNorms(gradient.subarray(range.start, end), range, block, params) };
          });
          return globalNorm([...all.slice(turn % all.length), ...all.slice(0, turn % all.length)], block, params);
        };
        expect(normBy(workers)).toBe(normBy(1));
      }),
      { numRuns: 60 },
    );
  });
  it('is the square root of the sum of squares', () => {
    const gradient = gradientOf(10_000);
    const range = { start: 0, end: 10_000 };
    const expected = Math.hypot(...gradient);
    expect(globalNorm([{ range, values: rangeNorms(gradient, range, 256, 10_000) }], 256, 10_000) / expected).toBeCloseTo(1, 13);
  });
  it('refuses ranges off the block borders and norms that are missing', () => {
    expect(() => rangeNorms(new Float32Array(100), { start: 0, end: 100 }, 256, 1_000)).toThrow('expected borders on blocks of 256');
    expect(() => rangeNorms(new Float32Array(99), { start: 0, end: 256 }, 256, 1_000)).toThrow('expected 256 elements, got 99');
    const values = rangeNorms(new Float32Array(256), { start: 0, end: 256 }, 256, 1_000);
    expect(() => globalNorm([{ range: { start: 0, end: 256 }, values }], 256, 1_000)).toThrow('norm of block 1 is missing');
  });
});

describe('clipping', () => {
  it('leaves a short gradient as it is and shortens a long one to the limit', () => {
    const gradient = gradientOf(3_000);
    const norm = Math.hypot(...gradient);
    const short = gradient.slice();
    scaleBy(short, clipFactor(norm, norm * 2));
    expect([...short]).toEqual([...gradient]);
    scaleBy(gradient, clipFactor(norm, 1));
    expect(Math.hypot(...gradient)).toBeCloseTo(1, 5);
  });
});
