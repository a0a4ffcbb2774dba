import { mostAfter, requestsTold } from '../../contracts/charged-requests';
import { RequestMeter } from '../../functions/request-meter';
import { ChargedRequests } from '../../storage/charged-requests';

/** A log that is read wherever its function may have died. */
function metered() {
  const log: string[] = ['START RequestId: one'];
  const [store, exchange] = [new ChargedRequests(), new ChargedRequests()];
  const meter = new RequestMeter((line) => log.push(line));
  for (const charged of [store, exchange]) meter.watch(charged);
  return { log, store, exchange, meter, told: () => requestsTold(log.slice(-2).join('\n')) };
}

describe('what an instance tells its log of its requests', () => {
  it('is never less than a tenth short, whenever it dies, and few lines', () => {
    const { log, store, exchange, told } = metered();
    let random = 1;
    for (let made = 0; made < 5_000; made++) {
      random = Math.imul(random, 48_271) % 0x7fffffff;
      (random & 1 ? store : exchange).count(['PUT', 'GET', 'HEAD', 'DELETE', 'GET'][made % 5]!, made % 5 === 4);
      const sum = { puts: store.puts + exchange.puts, gets: store.gets + exchange.gets };
      const line = told() ?? { told: { puts: 0, gets: 0 } };
      expect(line).toMatchObject(sum.puts === 0 ? {} : { all: false });
      const most = mostAfter(line.told);
      expect(most.puts >= sum.puts && most.gets >= sum.gets && line.told.puts <= sum.puts && line.told.gets <= sum.gets).toBe(true);
    }
    expect(log.length).toBeLessThan(200);
  });

  it('is exact at an invocation’s end, and the next one begins at none', () => {
    const { store, meter, told, log } = metered();
    for (let i = 0; i < 100; i++) store.count('GET', false);
    meter.end();
    expect(told()).toEqual({ told: { puts: 0, gets: 100 }, all: true });
    store.count('PUT', false);
    expect(told()).toEqual({ told: { puts: 1, gets: 0 }, all: false });
    meter.end();
    expect(log.length).toBeLessThan(40);
    meter.end();
    expect(told()).toEqual({ told: { puts: 1, gets: 0 }, all: true });
  });
});
