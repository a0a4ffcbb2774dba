/** @jest-environment ./test/support/native-arrays.ts */
import { openExchange, type Exchange } from '../../storage';
import { Rig } from './rig';

const STEPS = 12;
jest.setTimeout(60_000);

/** What lies in an exchange, headers included, as all of its openings put and delete. */
class Ledger {
  readonly #bytes = new Map<string, number>();
  #live = 0;
  peakBytes = 0;

  watch(exchange: Exchange): Exchange {
    return new Proxy(exchange, {
      get: (target, method: keyof Exchange) => {
        if (method === 'putValue')
          return async (...args: Parameters<Exchange['putValue']>) => {
            await target.putValue(...args);
            this.#note(args[0], 24 + args[1].reduce((sum, part) => sum + part.byteLength, 0));
          };
        if (method === 'delete')
          return async (...args: Parameters<Exchange['delete']>) => {
            for (const name of args[0]) this.#note(name, 0);
            await target.delete(...args);
          };
        const value: unknown = Reflect.get(target, method, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  #note(name: string, bytes: number): void {
    this.#live += bytes - (this.#bytes.get(name) ?? 0);
    this.#bytes.set(name, bytes);
    this.peakBytes = Math.max(this.peakBytes, this.#live);
  }
}

describe('an exchange holds', () => {
  let rig: Rig;
  beforeAll(async () => (rig = await Rig.open({ lanes: 8, batchSize: 16, times: { waitMs: 20_000, giveUpMs: 60_000, lookMs: 20_000 } })));
  afterAll(() => rig.close());

  it.each([2, 3, 8])('three steps of %i workers at most, whatever the length of the round, and one after it', async (workers) => {
    const ledger = new Ledger();
    const exchanges = await Promise.all(Array.from({ length: workers }, () => openExchange(rig.exchange.uri)));
    const worlds = exchanges.map((exchange) => ledger.watch(exchange)).map((exchange) => ({ ...rig.world, exchange: async () => exchange }));
    const track = rig.track(`live-${workers}`);
    await track.round({ workers, steps: STEPS, invocation: (worker) => ({ world: worlds[worker]! }) });
    const stepBytes = exchanges.reduce((sum, { traffic }) => sum + traffic.bytesWritten, 0) / STEPS;
    expect(ledger.peakBytes).toBeGreaterThan(stepBytes);
    expect(ledger.peakBytes).toBeLessThanOrEqual(3 * stepBytes);
    const left = (await rig.exchange.list('runs/')).filter((name) => name.includes(`live-${workers}/`));
    expect(left.every((name) => name.includes(`/steps/${STEPS}/`))).toBe(true);
    await Promise.all(exchanges.map((exchange) => exchange.close()));
  });
});
