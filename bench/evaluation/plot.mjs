/** A line chart on logarithmic axes as SVG. @param series  [{ name, points: [[x, y], ...] }] */
export function lineChart({ title, xLabel, yLabel, series }) {
  const [W, H, L, R, T, B] = [800, 440, 80, 230, 50, 56];
  const colours = ['#2b6cb0', '#dd6b20', '#2f855a', '#805ad5', '#c53030', '#718096', '#b7791f'];
  const all = series.flatMap(({ points }) => points);
  const axis = (values, from, to) => {
    const [low, high] = [Math.log10(Math.min(...values)) - 0.05, Math.log10(Math.max(...values)) + 0.05];
    const at = (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
    const ticks = [];
    for (let decade = Math.floor(low); decade <= high; decade += 1)
      for (const digit of [1, 2, 5])
        if (Math.log10(digit * 10 ** decade) >= low && Math.log10(digit * 10 ** decade) <= high)
          ticks.push(Number((digit * 10 ** decade).toPrecision(1)));
    return { at, ticks };
  };
  const x = axis(all.map(([value]) => value), L, W - R); // prettier-ignore
  const y = axis(all.map(([, value]) => value), H - B, T); // prettier-ignore
  const f = (value) => value.toFixed(1);
  // Names at the lines' ends must not hide each other.
  const ends = series.map(({ points }, i) => ({ i, y: y.at(points.at(-1)[1]) })).sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => (end.y = i === 0 ? end.y : Math.max(end.y, ends[i - 1].y + 16)));
  const endOf = (i) => ends.find((end) => end.i === i).y;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${W} ${H}" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/><text x="${L}" y="26" font-size="16">${title}</text>
${x.ticks.map((tick) => `<line stroke="#e6e6e6" x1="${f(x.at(tick))}" x2="${f(x.at(tick))}" y1="${T}" y2="${H - B}"/><text text-anchor="middle" x="${f(x.at(tick))}" y="${H - B + 18}">${tick}</text>`).join('\n')}
${y.ticks.map((tick) => `<line stroke="#e6e6e6" x1="${L}" x2="${W - R}" y1="${f(y.at(tick))}" y2="${f(y.at(tick))}"/><text text-anchor="end" x="${L - 8}" y="${f(y.at(tick) + 4)}">${tick}</text>`).join('\n')}
<text text-anchor="middle" x="${(L + W - R) / 2}" y="${H - 14}">${xLabel}</text><text text-anchor="middle" transform="translate(18 ${(T + H - B) / 2}) rotate(-90)">${yLabel}</text>
${series.map(({ name, points }, i) => `<polyline fill="none" stroke="${colours[i % 7]}" stroke-width="2" points="${points.map(([a, b]) => `${f(x.at(a))},${f(y.at(b))}`).join(' ')}"/><text fill="${colours[i % 7]}" x="${W - R + 8}" y="${f(endOf(i) + 4)}">${name}</text>`).join('\n')}
</svg>
`;
}
