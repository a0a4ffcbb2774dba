// Measures one cell of bench/sync.mjs: its systems take turns, pass by pass, until the time is up or there are rounds enough.
import { freemem } from 'node:os';
import { performance } from 'node:perf_hooks';
import { startTeam } from './team.mjs';

export const LEAST_ROUNDS = 3;
/** Small values are soon moved, and their times scatter most. */
const mostRoundsOf = (mb) => (mb > 10 ? 9 : mb > 1 ? 21 : 101);
/** Of the memory that is free, for processes and what their store holds. */
const MEMORY_SHARE = 0.6;
/** Rough, for one round and one start: what cells' shares of the time come from, and how slow a machine is. */
const BYTES_PER_SECOND = 1.2e9;
const ROUND_SECONDS_PER_WORKER = 0.005;
const START_SECONDS_PER_WORKER = 0.15;

/** Rounds until code is compiled and memory is there: a run has hundreds of steps. V8 compiles what is used for some 200. */
const warmUpOf = (mb) => (mb > 10 ? 4 : mb > 1 ? 60 : 200);
/** Of one system: a busy machine has fewer rounds of it, and so has a cell that is short of time. */
const WARM_UP_MS = 6_000;
const LEAST_WARM_UP_MS = 1_500;
const WARM_UP_SHARE = 0.3;
const secondsOfRound = (workers, systems) =>
  systems.reduce((sum, { moved }) => sum + moved / BYTES_PER_SECOND + workers * ROUND_SECONDS_PER_WORKER, 0);

/** Seconds of as few rounds as a cell may have, on an idle machine of two cores. */
export const leastSeconds = ({ workers, mb, systems }) =>
  systems.length * (workers * START_SECONDS_PER_WORKER) +
  Math.min((systems.length * LEAST_WARM_UP_MS) / 1_000, warmUpOf(mb) * secondsOfRound(workers, systems)) +
  LEAST_ROUNDS * secondsOfRound(workers, systems);

/**
 * Where all teams fit into memory they live through the cell, and a turn is a round. Else each is started for its turn, warms up
 * and has as many rounds as a cell must have.
 * @param serverOf  from a store's name to what serves it: its CPU time counts, and it is cleared between rounds
 * @param budgetSeconds  no pass begins that would end after it, once there are 3 rounds
 * @returns each system's rounds
 */
export async function measureCell({ workers, mb, systems }, { serverOf, budgetSeconds, rounds, scale, progress }) {
  const startMs = performance.now();
  const warmUpMs = Math.min(WARM_UP_MS, Math.max(LEAST_WARM_UP_MS, (WARM_UP_SHARE * 1_000 * budgetSeconds) / systems.length));
  const seconds = () => (performance.now() - startMs) / 1_000;
  const live = systems.reduce((sum, { memory }) => sum + memory, 0) <= MEMORY_SHARE * freemem();
  const perTurn = live ? 1 : Math.min(LEAST_ROUNDS, rounds ?? LEAST_ROUNDS);
  const most = rounds ?? mostRoundsOf(mb) * scale;
  const measured = new Map(systems.map((system) => [system, []]));
  const teams = new Map();
  const begin = async (system) => {
    const team = await startTeam(workers, system.commandOf);
    const beganMs = performance.now();
    for (let round = 0; round < warmUpOf(mb) && (round === 0 || performance.now() - beganMs < warmUpMs); round++)
      await play(system, team, serverOf[system.store]);
    return team;
  };
  if (live) for (const system of systems) teams.set(system, await begin(system));
  let passSeconds = 0;
  for (let done = 0; done < most; done += perTurn) {
    if (done >= (rounds ?? LEAST_ROUNDS) && seconds() + passSeconds > budgetSeconds) break;
    progress(`${done} rounds, ${Math.round(seconds())} s of ${Math.round(budgetSeconds)}`);
    const before = seconds();
    for (const system of systems) {
      const team = teams.get(system) ?? (await begin(system));
      for (let round = 0; round < perTurn; round++) measured.get(system).push(await play(system, team, serverOf[system.store]));
      if (!live) await end(system, team);
    }
    passSeconds = seconds() - before;
  }
  for (const [system, team] of teams) await end(system, team);
  return { measured, seconds: seconds(), passes: most };

  async function end(system, team) {
    await team.end();
    serverOf[system.store].forget?.();
  }
}

/** One synchronisation, checked. */
async function play({ system }, team, server) {
  const before = server.cpuMs();
  const { ms, reports } = await team.round();
  const serverMs = server.cpuMs() - before;
  if (!reports.every(({ right }) => right)) throw new Error(`${system}: wrong sum`);
  server.clear();
  const total = (of) => reports.reduce((sum, report) => sum + of(report), 0);
  const cpuMs = total((report) => report.cpuMs);
  return { ms, cpuMs, serverMs, allMs: cpuMs + serverMs, bytes: total(({ bytes }) => bytes), requests: total(({ requests }) => requests) };
}
