import { readFileSync } from 'node:fs';
import { cutOf, mostLanes } from '../../contracts/cut';
import { stepTraffic } from '../../contracts/step-traffic';
import type { Topology } from '../../contracts/synchronization';

const page = readFileSync('docs/synchronisation.md', 'utf8');
/** 10 MB of parameters, Adam, as the page says. */
const [paramCount, lanes] = [2_500_000, 256];

interface Way {
  readonly topology?: Topology;
  readonly groups?: number;
  readonly laneUnit?: number;
}
function busiestOf(workers: number, { topology = 'scatter-reduce', groups, laneUnit }: Way = {}) {
  const cut = cutOf({ topology, lanes, laneUnit, paramCount, workers });
  const traffic = stepTraffic({ topology, groups, cut, lanes, paramCount, bufferCount: 0, slots: 2 });
  return {
    vectors: Math.max(...traffic.map(({ bytesRead, bytesWritten }) => bytesRead + bytesWritten)) / (4 * paramCount),
    requests: Math.max(...traffic.map(({ puts, gets }) => puts + gets)),
  };
}

describe('what docs/synchronisation.md says of the busiest worker', () => {
  it.each([2, 4, 8, 16, 64, 256])('of %d is what the formula gives for every topology', (n) => {
    const scattered = (way?: Way) => {
      const { vectors, requests } = busiestOf(n, way);
      return `${vectors.toFixed(2)}, ${requests.toLocaleString('en')}`;
    };
    const grouped = n > 2 ? ` ${scattered({ groups: 2 ** Math.round(Math.log2(n) / 2) })} ` : ' ';
    const others = (['parameter-server', 'all-reduce-leader', 'all-to-all'] as const).map((topology) =>
      busiestOf(n, { topology }).vectors.toFixed(2),
    );
    expect(page).toContain(`| ${n} | ${scattered()} |${grouped}| ${others.join(' | ')} |`);
  });

  it('in units of lanes is what the formula gives', () => {
    const rows = [...page.matchAll(/^\| (\d*) ?\| ([\d., ]*)\| (\d+), (\d+), ([\d.]+) \| (\d+) % \| (\d+) % \|$/gm)];
    expect(rows).toHaveLength(13);
    let workers = 0;
    for (const [line, n, even] of rows) {
      if (n) workers = Number(n);
      const before = { lanes: mostLanes(lanes, workers), ...busiestOf(workers) };
      if (even) expect(`${workers}: ${even.trim()}`).toBe(`${workers}: ${before.lanes}, ${before.vectors.toFixed(2)}`);
      const laneUnit = Number(/\| (\d+), \d+, [\d.]+ \| \d+ %/.exec(line)![1]);
      const after = { lanes: mostLanes(lanes, workers, laneUnit), ...busiestOf(workers, { laneUnit }) };
      const [more, less] = [after.lanes / before.lanes - 1, 1 - after.vectors / before.vectors].map((share) => `${Math.round(100 * share)} %`);
      expect(line).toContain(`| ${laneUnit}, ${after.lanes}, ${after.vectors.toFixed(2)} | ${more} | ${less} |`);
    }
  });
});
