import { SmltError } from '../../contracts/errors';
import type { Exchange } from '../../storage/exchange';
import type { Layout } from './layout';
import { loadStep } from './load';
import type { Turn } from './turn';

/** True when every name of a step exists in the exchange. */
export async function isWhole(exchange: Exchange, layout: Layout, step: number): Promise<boolean> {
  return (await exchange.present(layout.whole(step))).every(Boolean);
}

/** The newest complete step above `above`, without a LIST: first one range's params of all steps, then the whole of those found. */
export async function findNewest(exchange: Exchange, layout: Layout, above: number): Promise<number | undefined> {
  const { last } = layout.plan;
  if (above >= last) return undefined;
  const steps = Array.from({ length: last - above }, (_, i) => last - i);
  const range = layout.own ?? layout.paramRanges[0]!;
  const found = await exchange.present(steps.map((step) => layout.params(step, range)));
  for (const [i, step] of steps.entries()) if (found[i] && (await isWhole(exchange, layout, step))) return step;
  return undefined;
}

/** True when the round's last step is durable. The own objects first: mostly they are the ones that are missing. */
export async function allDurable({ layout, store, plan }: Turn): Promise<boolean> {
  for (const name of layout.ownCheckpoint(plan.last)) if (!(await store.head(name))) return false;
  return (await Promise.all(layout.checkpoint(plan.last).map((name) => store.head(name)))).every(Boolean);
}

/**
 * Where to go on: at the start, after a long wait, when a read finds nothing. Throws the detour `superseded` when the
 * round's manifest exists, which is also the right answer for a retry after the commit.
 * @param recall  finds what else a step needs, before it is loaded; false when that is gone
 */
export async function resolve(turn: Turn, recall: (step: number) => Promise<boolean>): Promise<{ kind: 'done' } | { kind: 'at'; step: number }> {
  const { layout, exchange, plan } = turn;
  for (let missed: unknown; ;) {
    await turn.lookForEnd('now');
    if (await allDurable(turn)) return { kind: 'done' };
    const step = (await findNewest(exchange, layout, plan.first)) ?? plan.first;
    try {
      if ((await recall(step)) && (await loadStep(turn, step))) return { kind: 'at', step };
    } catch (error) {
      // The start's checkpoint is deleted only after a later manifest: one more look must find that.
      if (missed !== undefined || !(error instanceof SmltError && error.code === 'ObjectMissing')) throw error;
      missed = error;
    }
  }
}
