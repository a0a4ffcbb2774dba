// From rounds that took turns to what bench/sync.mjs says of each system, and these as a table.

/** @param measured  each system's rounds, as measureCell returns them */
export function rowsOf(workers, mb, measured) {
  const systems = [...measured.keys()];
  return systems.map((system) => {
    const rounds = measured.get(system);
    const middle = (of) => median(rounds.map(of));
    /** The median over the rounds of how many times more the other one takes. */
    const times = (other, of) => (other ? hundredths(median(rounds.map((round, i) => of(measured.get(other)[i]) / of(round)))) : null);
    const fair = systems.find((other) => other.kind === 'LambdaML' && (other.store === 's3') === (system.store === 's3'));
    const raw = systems.find((other) => other.store === system.store && other.kind === 'raw');
    const all = rounds.map(({ ms }) => ms).sort((a, b) => a - b);
    return {
      workers,
      mb,
      system: system.system,
      rounds: rounds.length,
      ms: tenths(median(all)),
      leastMs: tenths(all[0]),
      mostMs: tenths(all.at(-1)),
      cpuMs: tenths(middle((round) => round.cpuMs)),
      serverCpuMs: tenths(middle((round) => round.serverMs)),
      mbMoved: tenths(middle(({ bytes }) => bytes) / 1e6),
      requests: middle(({ requests }) => requests),
      /** Of the store's raw speed: the time of moving and adding alone over this one's. */
      rawShare: times(raw, ({ ms }) => ms),
      rawShareOfCpu: times(raw, ({ allMs }) => allMs),
      timesLambdaML: times(fair, ({ ms }) => ms),
      timesLambdaMLOfCpu: times(fair, ({ allMs }) => allMs),
    };
  });
}

const HEAD = [
  ['n', 'MB', 'system', 'rounds', 'wall ms (range)', 'CPU ms: workers + server', 'MB moved', 'requests'],
  ['raw / this: wall, CPU', 'LambdaML / this: wall, CPU'],
].flat();

/** In Markdown, a line for each system of each cell; its workers and MB in its first. */
export function tableOf(rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const plain = (value) => (value >= 100 ? Math.round(value) : value).toLocaleString('en');
  const both = (wall, cpu) => (wall === null ? '' : `${wall.toFixed(2)}, ${cpu.toFixed(2)}`);
  const lines = rows.map((row, i) => {
    const isFirst = rows[i - 1]?.workers !== row.workers || rows[i - 1].mb !== row.mb;
    return line([
      ...(isFirst ? [row.workers, row.mb] : ['', '']),
      row.system,
      row.rounds,
      `${plain(row.ms)} (${plain(row.leastMs)} to ${plain(row.mostMs)})`,
      `${plain(row.cpuMs)} + ${plain(row.serverCpuMs)}`,
      plain(row.mbMoved),
      row.requests,
      both(row.rawShare, row.rawShareOfCpu),
      both(row.timesLambdaML, row.timesLambdaMLOfCpu),
    ]);
  });
  return [line(HEAD), line(HEAD.map(() => '---')), ...lines].join('\n');
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
const tenths = (value) => Math.round(value * 10) / 10;
const hundredths = (value) => Math.round(value * 100) / 100;
