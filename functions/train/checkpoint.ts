import { setTimeout as sleep } from 'node:timers/promises';
import { names } from '../../contracts/names';
import { bytesOf } from '../bytes';
import { heldBack, laneStateOf } from './lane-states';
import { lanesIn } from './layout';
import { heldNames, slotsOf } from './load';
import { keep } from './publish';
import { Detour, type Turn } from './turn';
import { lookAround } from './wait';

/** Makes the own part of the round's last step durable. */
export async function keepCheckpoint(turn: Turn): Promise<void> {
  const { layout, workspace, plan, meter } = turn;
  const startedAtMs = performance.now();
  await meter.during('upload', async () => {
    const kept: Promise<void>[] = [];
    if (layout.own) {
      const { start, end } = layout.own;
      kept.push(keep(turn, names.checkpointState(layout.id, plan.last, layout.own), slotsOf(layout, workspace.slots.values, layout.own)));
      kept.push(keep(turn, names.checkpointParams(layout.id, plan.last, layout.own), workspace.params.values.subarray(start, end)));
    }
    const held = layout.stateful ? heldBack(turn, plan.last) : undefined;
    if (held)
      for (const lane of lanesIn(layout.lanes))
        kept.push(keep(turn, names.checkpointLane(layout.id, plan.last, lane), laneStateOf(layout, held, lane)));
    if (layout.ownsExtra) kept.push(keep(turn, names.checkpointState(layout.id, plan.last, layout.extra), workspace.extra.values));
    await Promise.all(kept);
  });
  turn.checkpointMs = performance.now() - startedAtMs;
}

const firstPauseMs = 2;
const longestPauseMs = 200;

/**
 * Waits until all objects of the last step are durable (invariant 5): when one worker is done, no worker of the round
 * ever needs another again. An object store wakes nobody, so the exchange tells when the others are about to write.
 * @param computed  this instance made the last step; else it found it whole in the exchange
 */
export async function awaitDurable(turn: Turn, computed: boolean): Promise<void> {
  const { layout, store, exchange, plan } = turn;
  const { times, last } = plan;
  let missing = layout.checkpoint(last);
  let computing = layout.alone ? [] : layout.paramRanges.map((range) => layout.params(last, range));
  let quietSinceMs = performance.now();
  let pauseMs = firstPauseMs;
  await turn.meter.during('wait', async () => {
    for (;;) {
      if (computing.length > 0) computing = await exchange.waitFor(computing, { timeoutMs: Math.min(times.waitMs, times.lookMs) });
      const found = await Promise.all(missing.map((name) => store.head(name)));
      const still = missing.filter((_, i) => found[i] === undefined);
      if (still.length === 0) return;
      if (still.length < missing.length) {
        turn.news();
        quietSinceMs = performance.now();
        pauseMs = firstPauseMs;
      }
      missing = still;
      await turn.lookForEnd();
      if (performance.now() - quietSinceMs >= Math.max(times.waitMs, 2 * turn.meter.medianStepMs)) {
        await lookAround(turn, computed ? last - 1 : last, computed || layout.alone ? layout.published(last) : layout.ownValues(last));
        quietSinceMs = performance.now();
      }
      if (turn.nearLimit('wait') || performance.now() - turn.newsAtMs >= times.giveUpMs) throw new Detour({ kind: 'waiting', step: last, missing });
      if (computing.length > 0) continue;
      await sleep(pauseMs);
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  });
}

/** Reads the others' params of the last step, so that a warm instance need not ask for them at the next round's start. */
export async function warmForNextRound({ layout, exchange, workspace, plan, meter }: Turn): Promise<void> {
  const { params } = workspace;
  const name = heldNames.params(layout, plan.last);
  if (params.holds(name, layout.program.paramCount)) return;
  await meter.during('download', async () => {
    for (const range of layout.paramRanges) {
      if (range.start === layout.own?.start) continue;
      const into = params.values.subarray(range.start, range.end);
      if (!(await exchange.getInto(layout.params(plan.last, range), bytesOf(into)))) return;
    }
    params.nowHolds(name);
  });
}
