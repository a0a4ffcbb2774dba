import { formatExchange, formatMethod } from '../../scheduler';
import { clock, dollars as usdText } from '../cli/words';
import { isChosen, type JobPlan } from './plan-job';

const [WIDTH, HEIGHT] = [970, 470];
const [LEFT, RIGHT, TOP, BOTTOM] = [86, 250, 66, 64];
/** A limit this many times farther than any plan is named, not drawn: it would leave no room for the plans. */
const FAR = 10;
const LABEL_HEIGHT = 14;

/** The frontier as a picture: cost over time, both on logarithmic axes, with the band of each, the limits and the choice. */
export function frontierSvg({ name, frontier, choice, method: chosenMethod, goal, steps }: JobPlan): string {
  const minutes = (ms: number) => ms / 60_000;
  const dollars = (nanoUsd: number) => nanoUsd / 1e9;
  const points = frontier.map(({ allocation, prediction, method }) => ({
    allocation,
    method,
    time: minutes(prediction.remainingMs.p50),
    times: [minutes(prediction.remainingMs.p05), minutes(prediction.remainingMs.p95)] as const,
    cost: dollars(prediction.remainingNanoUsd.p50),
    costs: [dollars(prediction.remainingNanoUsd.p05), dollars(prediction.remainingNanoUsd.p95)] as const,
  }));
  const isNear = (limit: number, ends: readonly number[]) => limit <= FAR * Math.max(...ends);
  const limits = {
    deadline: goal.deadlineMs === null ? [] : [minutes(goal.deadlineMs)],
    budget: goal.budgetUsd === null ? [] : [goal.budgetUsd],
  };
  const deadline = limits.deadline.filter((limit) => isNear(limit, points.map(({ times }) => times[1]))); // prettier-ignore
  const budget = limits.budget.filter((limit) => isNear(limit, points.map(({ costs }) => costs[1]))); // prettier-ignore
  const far = [
    ...limits.deadline.filter((limit) => !deadline.includes(limit)).map((limit) => `deadline after ${clock(limit * 60_000)}`),
    ...limits.budget.filter((limit) => !budget.includes(limit)).map((limit) => `budget ${usdText(limit * 1e9)}`),
  ];
  const x = logScale([...points.flatMap(({ times }) => [...times]), ...deadline], LEFT, WIDTH - RIGHT);
  const y = logScale([...points.flatMap(({ costs }) => [...costs]), ...budget], HEIGHT - BOTTOM, TOP);
  const chosen = choice.kind === 'run' || choice.kind === 'probe' ? { allocation: choice.allocation, method: chosenMethod?.method } : undefined;
  const at = (value: number) => value.toFixed(1);
  let labelY = 0;
  const marks = points.map(({ allocation, method, time, times, cost, costs }) => {
    // In a column of their own, each below the one before: plans come dearest first.
    labelY = Math.max(labelY + LABEL_HEIGHT, y.at(cost) + 4);
    const isBest = chosen !== undefined && isChosen({ allocation, method }, chosen);
    const what = `${allocation.workers} x ${allocation.memoryMib.toLocaleString('en-US')} MiB${allocation.exchange ? `, ${formatExchange(allocation.exchange, allocation.shards)}` : ''}${method ? `, ${formatMethod(method)}` : ''}`;
    const [pointX, pointY] = [x.at(time), y.at(cost)];
    return {
      bands: `<path class="band" d="M${at(x.at(times[0]))} ${at(pointY)} H${at(x.at(times[1]))} M${at(pointX)} ${at(y.at(costs[0]))} V${at(y.at(costs[1]))}"/>`,
      leader: `<path class="leader" d="M${at(pointX)} ${at(pointY)} H${WIDTH - RIGHT + 2} L${WIDTH - RIGHT + 20} ${at(labelY - 4)}"/><text class="${isBest ? 'label best' : 'label'}" x="${WIDTH - RIGHT + 24}" y="${at(labelY)}">${what}</text>`,
      point: `<circle class="${isBest ? 'chosen' : 'point'}" cx="${at(pointX)}" cy="${at(pointY)}" r="${isBest ? 8 : 5}"><title>${what}: ${time.toPrecision(3)} min, $${cost.toPrecision(3)}</title></circle>`,
    };
  });
  const path = points.map(({ time, cost }) => `${at(x.at(time))},${at(y.at(cost))}`).join(' ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="13">
<style>text{fill:#222}.label,.tick{fill:#555;font-size:12px}.grid{stroke:#e6e6e6}.band{fill:none;stroke:#b8cbe8;stroke-width:3;stroke-opacity:.7}.point{fill:#2b6cb0}.chosen{fill:#dd6b20}.line{fill:none;stroke:#2b6cb0;stroke-width:1.5}.leader{fill:none;stroke:#ccc;stroke-width:.8}.best{fill:#dd6b20;font-weight:600}.limit{stroke:#c53030;stroke-dasharray:6 4}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="28" font-size="16">${escapeXml(name)}: what ${steps.toLocaleString('en-US')} steps take, predicted (bands: 5 % to 95 %)</text>
<text class="tick" x="${LEFT}" y="48">${far.length > 0 ? `far away: ${far.join(', ')}` : ''}</text>
${x.ticks.map((tick) => `<line class="grid" x1="${at(x.at(tick))}" x2="${at(x.at(tick))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text class="tick" text-anchor="middle" x="${at(x.at(tick))}" y="${HEIGHT - BOTTOM + 20}">${label(tick)}</text>`).join('\n')}
${y.ticks.map((tick) => `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y.at(tick))}" y2="${at(y.at(tick))}"/><text class="tick" text-anchor="end" x="${LEFT - 8}" y="${at(y.at(tick) + 4)}">$${label(tick)}</text>`).join('\n')}
<text text-anchor="middle" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 16}">minutes</text>
<text text-anchor="middle" transform="translate(20 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">AWS list price</text>
${deadline.map((limit) => `<line class="limit" x1="${at(x.at(limit))}" x2="${at(x.at(limit))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text class="tick" x="${at(x.at(limit) - 4)}" y="${HEIGHT - BOTTOM - 8}" text-anchor="end">deadline</text>`).join('')}
${budget.map((limit) => `<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y.at(limit))}" y2="${at(y.at(limit))}"/><text class="tick" x="${LEFT + 6}" y="${at(y.at(limit) - 5)}">budget</text>`).join('')}
${marks.map(({ bands }) => bands).join('\n')}
${marks.map(({ leader }) => leader).join('\n')}
<polyline class="line" points="${path}"/>
${marks.map(({ point }) => point).join('\n')}
</svg>
`;
}

const label = (value: number) => (value >= 1 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(2))));
const escapeXml = (text: string) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** A logarithmic axis with ticks at 1, 2 and 5 of each decade. */
function logScale(values: readonly number[], from: number, to: number): { at: (value: number) => number; ticks: number[] } {
  const low = Math.log10(Math.min(...values)) - 0.06;
  const high = Math.log10(Math.max(...values)) + 0.06;
  const at = (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  const all = (digits: readonly number[]) => decades.flatMap((decade) => digits.map((digit) => Number(`${digit}e${decade}`)));
  const inside = (ticks: number[]) => ticks.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high);
  const ticks = inside(all([1, 2, 5]));
  return { at, ticks: ticks.length > 8 ? inside(all([1])) : ticks };
}
