import { Hedges } from '../../contracts/hedging';
import { noBill, type Bill } from '../../contracts/money';
import type { TrainOutcome } from '../../contracts/round';

const bill = (billedMs: number): Bill => ({ ...noBill, invocations: 1, billedMs });
const crashed = (billedMs: number): TrainOutcome => ({ kind: 'crashed', message: 'gone', bill: bill(billedMs) });
const ended = (billedMs: number) => ({ kind: 'superseded', bill: bill(billedMs) }) as TrainOutcome;

/** Copies of one worker that answer when the test says so. */
function copies() {
  const open: { answer: (outcome: TrainOutcome) => void; fail: (error: Error) => void }[] = [];
  const hedges = new Hedges(() => new Promise((answer, fail) => open.push({ answer, fail })));
  return { open, hedges };
}

describe('a second copy of a slow worker', () => {
  it('is started once, and only while the worker runs', async () => {
    const { open, hedges } = copies();
    hedges.waitedFor([0]);
    expect(open).toHaveLength(0);
    const outcome = hedges.run(0);
    hedges.waitedFor([0]);
    hedges.waitedFor([0, 7]);
    expect([open.length, hedges.count]).toEqual([2, 1]);
    open[1]!.answer(ended(5));
    expect(await outcome).toMatchObject({ kind: 'superseded', bill: { billedMs: 5 } });
  });

  it('answers for both, and what comes later is paid for as well', async () => {
    const { open, hedges } = copies();
    const outcome = hedges.run(0);
    hedges.waitedFor([0]);
    open[1]!.answer(ended(5));
    expect((await outcome).bill.billedMs).toBe(5);
    const late = hedges.drain();
    open[0]!.answer(ended(70));
    expect(await late).toEqual(bill(70));
  });

  it('leaves the word to the other one when it ends without an end, and its bill is added', async () => {
    const { open, hedges } = copies();
    const outcome = hedges.run(0);
    hedges.waitedFor([0]);
    open[0]!.answer(crashed(3));
    open[1]!.answer(ended(5));
    expect(await outcome).toMatchObject({ kind: 'superseded', bill: { invocations: 2, billedMs: 8 } });
    expect(await hedges.drain()).toEqual(noBill);
  });

  it('fails nothing when the platform refuses it', async () => {
    const { open, hedges } = copies();
    const outcome = hedges.run(0);
    hedges.waitedFor([0]);
    open[1]!.fail(new Error('throttled'));
    open[0]!.answer(ended(5));
    expect(await outcome).toMatchObject({ kind: 'superseded', bill: { billedMs: 5 } });
  });

  it('fails only when no copy has run', async () => {
    const { open, hedges } = copies();
    const refused = hedges.run(0);
    hedges.waitedFor([0]);
    open[0]!.fail(new Error('throttled'));
    open[1]!.fail(new Error('throttled again'));
    await expect(refused).rejects.toThrow('throttled again');
    const half = hedges.run(1);
    hedges.waitedFor([1]);
    open[2]!.answer(crashed(3));
    open[3]!.fail(new Error('throttled'));
    expect(await half).toMatchObject({ kind: 'crashed', bill: { billedMs: 3 } });
  });
});
