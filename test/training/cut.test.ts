import fc from 'fast-check';
import { blockElements, cutLanes, cutOf, cutRanges, mostLanes } from '../../contracts/cut';
import { stepTraffic } from '../../contracts/step-traffic';
import { treeNodes } from '../../contracts/tree-nodes';

const nodesOf = (borders: number[], lanes: number) =>
  borders.slice(1).reduce((sum, end, i) => sum + treeNodes({ start: borders[i]!, end }, lanes).length, 0);
const sizesOf = (borders: number[]) => borders.slice(1).map((end, i) => end - borders[i]!);

describe('cutting lanes', () => {
  it('gives every worker a lane, none more than it must have, and all lanes away', () => {
    for (const lanes of [1, 2, 4, 8, 16, 32])
      for (let workers = 1; workers <= lanes; workers++) {
        const borders = cutLanes(lanes, workers);
        const sizes = sizesOf(borders);
        expect(sizes).toHaveLength(workers);
        expect(Math.min(...sizes)).toBeGreaterThanOrEqual(1);
        expect(Math.max(...sizes)).toBe(Math.ceil(lanes / workers));
        expect(borders.at(-1)).toBe(lanes);
      }
  });
  it('publishes no more nodes than any other cut with as few lanes a worker', () => {
    const allCuts = (lanes: number, workers: number, most: number): number[][] =>
      workers === 0
        ? lanes === 0
          ? [[]]
          : []
        : Array.from({ length: Math.min(most, lanes) }, (_, i) => i + 1).flatMap((size) =>
            allCuts(lanes - size, workers - 1, most).map((rest) => [size, ...rest]),
          );
    for (let workers = 1; workers <= 16; workers++) {
      const best = Math.min(
        ...allCuts(16, workers, Math.ceil(16 / workers)).map((sizes) => {
          let end = 0;
          return nodesOf([0, ...sizes.map((size) => (end += size))], 16);
        }),
      );
      expect(nodesOf(cutLanes(16, workers), 16)).toBe(best);
    }
  });
  it('cuts in units as it cuts fewer lanes: whole units, no more than a unit above the even share, and no node below a unit', () => {
    for (const [lanes, unit] of [
      [64, 4],
      [256, 8],
      [256, 16],
    ] as const)
      // prettier-ignore
      for (let workers = 1; workers <= lanes / unit; workers++) {
        const borders = cutLanes(lanes, workers, unit);
        expect(borders).toEqual(cutLanes(lanes / unit, workers).map((border) => border * unit));
        expect(Math.max(...sizesOf(borders))).toBe(mostLanes(lanes, workers, unit));
        expect(nodesOf(borders, lanes)).toBeLessThanOrEqual(nodesOf(cutLanes(lanes, workers), lanes));
      }
  });
  it('gives powers of two one node each', () => {
    for (const workers of [1, 2, 4, 8, 16]) expect(nodesOf(cutLanes(16, workers), 16)).toBe(workers);
  });
  it('is quick for a thousand lanes', () => {
    const before = process.cpuUsage();
    expect(cutLanes(1_024, 300)).toHaveLength(301);
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(2_000);
  });
  it('refuses more workers than lanes', () => {
    expect(() => cutLanes(8, 9)).toThrow(expect.objectContaining({ code: 'InvalidSpec', message: expect.stringContaining('9 workers for 8 lanes') }));
  });
});

describe('cutting ranges', () => {
  it('covers all parameters, on block borders, and shares blocks out evenly among workers of as many nodes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000_000 }), fc.integer({ min: 1, max: 200 }), (params, workers) => {
        const block = blockElements(params);
        const borders = cutRanges(params, new Array<number>(workers).fill(1), block);
        expect(borders).toHaveLength(workers + 1);
        expect([borders[0], borders.at(-1)]).toEqual([0, params]);
        for (const border of borders) expect(border === params || border % block === 0).toBe(true);
        const blocks = sizesOf(borders).map((size) => Math.ceil(size / block));
        expect(Math.max(...blocks) - Math.min(...blocks)).toBeLessThanOrEqual(2);
      }),
    );
  });
  it('gives less to whoever publishes more nodes, and nothing to whoever publishes too many', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 9_000_000 }),
        (nodes, params) => {
          const block = blockElements(params);
          const borders = cutRanges(params, nodes, block);
          expect([borders[0], borders.at(-1)]).toEqual([0, params]);
          const sizes = sizesOf(borders);
          for (const [i, size] of sizes.entries()) {
            expect(size).toBeGreaterThanOrEqual(0);
            for (const [j, other] of sizes.entries()) if (nodes[i]! < nodes[j]!) expect(size).toBeGreaterThan(other - 2 * block);
          }
        },
      ),
    );
  });
  it('has blocks of a power of two from 256 to 65,536 elements, and at least 512 of them where it can', () => {
    expect([1, 262_143, 262_144, 444_260, 33_554_432, 1e9].map(blockElements)).toEqual([256, 256, 512, 512, 65_536, 65_536]);
  });
  it.each([16, 256])('keeps the busiest of 2 to 16 workers with %d lanes within 5 %% of the mean, from 0.5 to 50 million parameters', (lanes) => {
    for (const paramCount of [500_000, 1_000_000, 2_100_000, 4_100_000, 11_700_000, 25_600_000, 50_000_000])
      for (let workers = 2; workers <= 16; workers++)
        for (const slots of [0, 1, 2]) {
          const cut = cutOf({ topology: 'scatter-reduce', lanes, paramCount, workers });
          const bytes = stepTraffic({ topology: 'scatter-reduce', cut, lanes, paramCount, bufferCount: 0, slots }).map(
            ({ bytesRead, bytesWritten }) => bytesRead + bytesWritten,
          );
          const mean = bytes.reduce((sum, one) => sum + one, 0) / workers;
          const over = Math.max(...bytes) / mean - 1;
          if (over > 0.05)
            throw new Error(`${workers} workers, ${paramCount} parameters, ${slots} floats of state: ${(100 * over).toFixed(1)} % over`);
        }
  });
});
