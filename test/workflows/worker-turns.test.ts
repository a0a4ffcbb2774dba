import { noBill } from '../../contracts/money';
import type { TrainOutcome } from '../../contracts/round';
import { driveWorkerTurns, type Trouble } from '../../contracts/worker-turns';

const bill = (billedMs: number) => ({ ...noBill, invocations: 1, billedMs });
const crashed = (billedMs: number): TrainOutcome => ({ kind: 'crashed', message: 'gone', bill: bill(billedMs) });
const answered = (kind: 'done' | 'spent', billedMs: number) => ({ kind, bill: bill(billedMs), telemetry: {} }) as TrainOutcome;

/** A worker's turns when its invocations end so; how long each might run, and why the round was cut. */
async function drive(outcomes: TrainOutcome[], spendLimitMs?: number) {
  const limits: (number | undefined)[] = [];
  const told: boolean[] = [];
  const cuts: Trouble[] = [];
  const turns = await driveWorkerTurns({
    spendLimitMs,
    invoke: (terms) => (limits.push(terms.spendLimitMs), told.push(terms.hasTold ?? false), Promise.resolve(outcomes.shift()!)),
    sleep: () => Promise.resolve(),
    cut: (why) => Promise.resolve(cuts.push(why)),
  });
  return { turns, limits, told, cuts };
}

describe('a worker whose money is limited', () => {
  it('has what its earlier invocations have left', async () => {
    const { limits, cuts, turns } = await drive([crashed(300), crashed(500), answered('done', 100)], 1_000);
    expect(limits).toEqual([1_000, 700, 200]);
    expect(cuts).toEqual([]);
    expect(turns.bill.billedMs).toBe(900);
  });

  it('ends its round when it says that it is used up, and when crashes have used it up', async () => {
    expect((await drive([answered('spent', 990)], 1_000)).cuts).toEqual([{ kind: 'spent' }]);
    const { limits, cuts } = await drive([crashed(600), crashed(400)], 1_000);
    expect(limits).toEqual([1_000, 400]);
    expect(cuts).toEqual([{ kind: 'spent' }]);
  });

  it('is told of no limit where there is none', async () => {
    expect((await drive([crashed(300), answered('done', 100)])).limits).toEqual([undefined, undefined]);
  });
});

describe('a worker that tells of a straggler', () => {
  it('tells once a round: its next invocation waits until it gives up', async () => {
    const waiting = { kind: 'waiting', slow: [1], bill: bill(5), telemetry: {} } as unknown as TrainOutcome;
    const { told } = await drive([crashed(5), waiting, crashed(5), answered('done', 9)]);
    expect(told).toEqual([false, false, true, true]);
  });
});
