import { clock, dollars } from '../cli/words';
import type { JobSimulation } from './simulate-job';

const [WIDTH, LEFT, RIGHT] = [860, 70, 90];
const [TOP, PANEL, GAP] = [62, 170, 54];
const HEIGHT = TOP + 2 * PANEL + GAP + 50;
const UNITS = [
  { ms: 1_000, word: 'seconds' },
  { ms: 60_000, word: 'minutes' },
  { ms: 3_600_000, word: 'hours' },
] as const;

/** A limit this many times farther than what was used is named, not drawn: it would leave no room for the run. */
const FAR = 4;

/** A simulated run as a picture: workers over time with what went wrong, and below it progress and money. */
export function timelineSvg({ name, totalSteps, goal, changes, run }: JobSimulation): string {
  const spentUsd = (run.rounds.at(-1)?.spentNanoUsd ?? 0) / 1e9;
  const near = (limit: number | null, used: number) => (limit !== null && limit <= FAR * used ? limit : null);
  const [deadlineMs, budgetUsd] = [near(goal.deadlineMs, run.timeMs), near(goal.budgetUsd, spentUsd)];
  const far = [
    ...(goal.deadlineMs !== null && deadlineMs === null ? [`deadline after ${clock(goal.deadlineMs)}`] : []),
    ...(goal.budgetUsd !== null && budgetUsd === null ? [`budget ${dollars(goal.budgetUsd * 1e9)}`] : []),
  ];
  const endMs = Math.max(run.timeMs, deadlineMs ?? 0) || 1;
  const unit = [...UNITS].reverse().find(({ ms }) => endMs >= 3 * ms) ?? UNITS[0];
  const x = (ms: number) => LEFT + (ms / endMs) * (WIDTH - LEFT - RIGHT);
  const most = Math.max(1, ...run.rounds.map(({ workers }) => workers));
  const top2 = TOP + PANEL + GAP;
  const scale = (top: number, largest: number) => (value: number) => top + PANEL - (Math.min(value, largest) / largest) * PANEL;
  const workersY = scale(TOP, most);
  const progressY = scale(top2, totalSteps);
  const usd = (nanoUsd: number) => nanoUsd / 1e9;
  const mostUsd = Math.max(budgetUsd ?? 0, spentUsd, 1e-9);
  const moneyY = scale(top2, mostUsd);
  const at = (value: number) => value.toFixed(1);
  const bars = run.rounds.map(
    ({ startMs, endMs: until, workers, memoryMib, kind, reason }) =>
      `<rect class="${kind}" x="${at(x(startMs))}" y="${at(workersY(workers))}" width="${at(Math.max(0.5, x(until) - x(startMs)))}" height="${at(TOP + PANEL - workersY(workers))}"><title>${escapeXml(`${workers} x ${memoryMib} MiB: ${reason}`)}</title></rect>`,
  );
  const crashes = run.rounds.flatMap(({ startMs, endMs: until, crashes: count }) =>
    count > 0
      ? [
          `<circle class="crash" cx="${at(x((startMs + until) / 2))}" cy="${TOP + PANEL + 8}" r="${Math.min(5, 2 + Math.log2(count))}"><title>${count} crashes</title></circle>`,
        ]
      : [],
  );
  const line = (y: (value: number) => number, points: readonly (readonly [number, number])[]) =>
    [[0, 0] as const, ...points].map(([ms, value]) => `${at(x(ms))},${at(y(value))}`).join(' ');
  const upright = (ms: number, kind: string, label: string) =>
    `<line class="${kind}" x1="${at(x(ms))}" x2="${at(x(ms))}" y1="${TOP}" y2="${top2 + PANEL}"/><text class="tick" x="${at(x(ms) - 4)}" y="${TOP - 6}" text-anchor="end">${label}</text>`;
  const ticks = niceTicks(endMs / unit.ms);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="13">
<style>text{fill:#222}.tick{fill:#555;font-size:12px}.grid{stroke:#e6e6e6}.run{fill:#90b4e0}.probe{fill:#dd9b5a}.crash{fill:#c53030}.steps{fill:none;stroke:#2b6cb0;stroke-width:2}.usd{fill:none;stroke:#dd6b20;stroke-width:2}.limit{stroke:#c53030;stroke-dasharray:6 4}.change{stroke:#805ad5;stroke-dasharray:2 3}.money{fill:#dd6b20}.done{fill:#2b6cb0}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="26" font-size="16">${escapeXml(name)}, simulated: ${run.steps.toLocaleString('en-US')} of ${totalSteps.toLocaleString('en-US')} steps, ${run.outcome}</text>
<text class="tick" x="${WIDTH - RIGHT}" y="26" text-anchor="end">${far.length > 0 ? `far away: ${far.join(', ')}` : ''}</text>
${ticks.map((tick) => `<line class="grid" x1="${at(x(tick * unit.ms))}" x2="${at(x(tick * unit.ms))}" y1="${TOP}" y2="${top2 + PANEL}"/><text class="tick" text-anchor="middle" x="${at(x(tick * unit.ms))}" y="${top2 + PANEL + 18}">${tick}</text>`).join('\n')}
${bars.join('\n')}
${crashes.join('\n')}
<text class="tick" text-anchor="end" x="${LEFT - 8}" y="${TOP + 10}">${most}</text><text class="tick" text-anchor="end" x="${LEFT - 8}" y="${TOP + PANEL}">0</text>
<text x="${LEFT}" y="${TOP + PANEL + 30}" class="tick">above: workers (orange: probes; red dots: crashes); below: <tspan class="done">steps</tspan> and <tspan class="money">list price</tspan>${run.costNanoUsd.exchange > 0 ? ', without the exchange’s' : ''}</text>
<text class="tick" text-anchor="end" x="${LEFT - 8}" y="${top2 + 10}">${totalSteps.toLocaleString('en-US')}</text><text class="tick" text-anchor="end" x="${LEFT - 8}" y="${top2 + PANEL}">0</text>
<text class="tick" x="${WIDTH - RIGHT + 8}" y="${top2 + 10}">${dollars(mostUsd * 1e9)}</text>
<polyline class="steps" points="${line(
    progressY,
    run.rounds.map(({ endMs: ms, firstStep, steps }) => [ms, firstStep + steps] as const),
  )}"/>
<polyline class="usd" points="${line(
    moneyY,
    run.rounds.map(({ endMs: ms, spentNanoUsd }) => [ms, usd(spentNanoUsd)] as const),
  )}"/>
${deadlineMs === null ? '' : upright(deadlineMs, 'limit', 'deadline')}
${budgetUsd === null ? '' : `<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(moneyY(budgetUsd))}" y2="${at(moneyY(budgetUsd))}"/><text class="tick" text-anchor="end" x="${WIDTH - RIGHT - 6}" y="${at(moneyY(budgetUsd) - 5)}">budget</text>`}
${changes
  .filter(({ atMs }) => atMs > 0 && atMs < endMs)
  .map(({ atMs }) => upright(atMs, 'change', 'slower'))
  .join('\n')}
<text text-anchor="middle" x="${WIDTH / 2}" y="${HEIGHT - 10}">${unit.word}</text>
</svg>
`;
}

/** Round numbers from 0, four to nine of them. */
function niceTicks(largest: number): number[] {
  const rough = largest / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((candidate) => candidate >= rough)!;
  return Array.from({ length: Math.floor(largest / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}
const escapeXml = (text: string) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
