import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { names as objectNames } from '../../contracts/names';
import type { Exchange, Taker, Taking } from '../../storage/exchange';
import { exchangeFrames } from '../../storage/frame';
import { exchanges, openExchange } from '../../storage/index';
import { compileProgram, killChild, nextMessage, startChild } from '../support/child';
import { within } from '../support/within';
import { exchangePlaces, type Place } from './places';

const filled = (byte: number, bytes = 1_000) => new Uint8Array(bytes).fill(byte);
const code = (value: string) => expect.objectContaining({ code: value });
const program = () => compileProgram(join(__dirname, 'child-program.ts'));
const id = { run: 'r', track: 'train', recipe: 'abc' };
const range = (start: number) => ({ start, end: start + 64 });
const partial = (step: number, node: number, start = 0) => objectNames.partial(id, step, { start: node, end: node + 1 }, range(start));
const params = (step: number, start = 0) => objectNames.params(id, step, range(start));

describe.each(Object.keys({ ...exchanges, ...exchangePlaces }))('exchanges', (scheme) => {
  const place = exchangePlaces[scheme];
  if (place === undefined) {
    it(`has a place for ${scheme}: in test/storage/places.ts`, () => expect(Object.keys(exchangePlaces)).toContain(scheme));
    return;
  }
  place.describe(`${scheme}: exchange`, (openPlace) => {
    let here: Place;
    let uri: string;
    let exchange: Exchange;
    let other: Exchange;
    beforeAll(async () => {
      here = await openPlace();
      program();
    }, 30_000);
    beforeEach(async () => {
      uri = here.uri();
      exchange = await openExchange(uri);
      other = await openExchange(exchange.uri);
    });
    afterEach(async () => {
      await exchange.close();
      await other.close();
    });
    afterAll(() => here.close());

    it('gives back the parts as one value, also to another opening of its URI', async () => {
      await exchange.putValue(params(1), [filled(1, 3), filled(2, 0), filled(3, 2)]);
      expect(await other.get(params(1))).toEqual(new Uint8Array([1, 1, 1, 3, 3]));
      await exchange.putValue(params(2), []);
      expect(await other.get(params(2))).toEqual(new Uint8Array());
      const parts = Array.from({ length: 3_000 }, (_, i) => filled(i % 251, 700));
      await exchange.putValue(params(3), parts);
      expect(Buffer.compare((await other.get(params(3))) ?? filled(0), Buffer.concat(parts))).toBe(0);
    });

    it('returns values that floats can be viewed in, and that are copies', async () => {
      const source = new Float32Array([1.5, -2, 3]);
      await exchange.putValue(params(1), [new Uint8Array(source.buffer, 4)]);
      source.fill(0);
      const value = (await exchange.get(params(1))) ?? filled(0);
      expect([...new Float32Array(value.buffer, value.byteOffset, 2)]).toEqual([-2, 3]);
      value.fill(0);
      expect(await exchange.get(params(1))).not.toEqual(value);
    });

    it('reads straight into the bytes of its caller, and into no others', async () => {
      await exchange.putValue(params(1), [filled(7, 1_500_000)]);
      const memory = new Uint8Array(2_000_000);
      expect(await other.getInto(params(1), memory.subarray(64, 64 + 1_500_000))).toBe(true);
      expect(Buffer.compare(memory.subarray(64, 64 + 1_500_000), filled(7, 1_500_000))).toBe(0);
      expect([memory[63], memory[64 + 1_500_000]]).toEqual([0, 0]);
      expect(await other.getInto(params(2), memory.subarray(0, 4))).toBe(false);
      expect(other.traffic).toMatchObject({ bytesRead: 1_500_024, gets: 2, requests: 2 });
    });

    it('says so when the room is not as long as the value', async () => {
      await exchange.putValue(params(1), [filled(1)]);
      for (const bytes of [0, 999, 1_001])
        await expect(exchange.getInto(params(1), filled(0, bytes))).rejects.toThrow(`the value has 1000 bytes, its reader has room for ${bytes}`);
      expect(await exchange.get(params(1))).toEqual(filled(1));
    });

    it('has nothing under a name that nobody put', async () => {
      expect(await exchange.get(params(1))).toBeUndefined();
      expect(await exchange.get('free/form')).toBeUndefined();
      expect(await exchange.present([params(1), 'free/form'])).toEqual([false, false]);
      await exchange.delete([params(1), 'free/form']);
      expect(await exchange.list('')).toEqual([]);
    });

    it('takes the same value twice, however it is cut into parts, and other bytes never', async () => {
      await exchange.putValue(params(1), [filled(1)]);
      await other.putValue(params(1), [filled(1, 400), filled(1, 600)]);
      await expect(other.putValue(params(1), [filled(2)])).rejects.toEqual(code('NotDeterministic'));
      expect(await exchange.get(params(1))).toEqual(filled(1));
    });

    it('lets exactly one of the racers in several processes win each name', async () => {
      const raced = Array.from({ length: 40 }, (_, i) => partial(i, 0));
      const children = [0, 1, 2].map((own) => startChild(program(), ['exchange-race', uri, String(own), ...raced]));
      try {
        await Promise.all(children.map((child) => nextMessage(child)));
        const answers = children.map((child) => nextMessage<boolean[]>(child));
        children.forEach((child) => child.send('go'));
        const wins = await Promise.all(answers);
        for (const [i, name] of raced.entries()) {
          const winners = wins.flatMap((own, racer) => (own[i] === true ? [racer] : []));
          expect(winners).toHaveLength(1);
          expect(Buffer.compare((await exchange.get(name)) ?? filled(0), filled(winners[0] ?? -1, 50_000))).toBe(0);
        }
      } finally {
        await Promise.all(children.map(killChild));
      }
    }, 60_000);

    it('never shows half of what another process writes, even when that is killed at it', async () => {
      for (let round = 0; round < 3; round++) {
        const prefix = `runs/r/t/${round}/steps/0/params/`;
        const child = startChild(program(), ['exchange-put-many', uri, prefix, '2000000']);
        try {
          await nextMessage(child);
          for (let i = 0; i < 8; i++) {
            expect(await exchange.waitFor([`${prefix}${i}`], { timeoutMs: 10_000 })).toEqual([]);
            expect(Buffer.compare((await exchange.get(`${prefix}${i}`)) ?? filled(0), filled(i, 2_000_000))).toBe(0);
          }
        } finally {
          await killChild(child);
        }
        for (const name of await exchange.list(prefix)) {
          const number = Number(name.slice(prefix.length));
          expect(Buffer.compare((await exchange.get(name)) ?? filled(0), filled(number % 200, 2_000_000))).toBe(0);
        }
        await exchange.delete(await exchange.list(prefix));
      }
    }, 60_000);

    it('answers for many names in the order they were asked', async () => {
      await exchange.putValue(partial(1, 2), [filled(1)]);
      await exchange.putValue(params(1, 64), [filled(1)]);
      expect(await exchange.present([partial(1, 1), partial(1, 2), params(1), params(1, 64)])).toEqual([false, true, false, true]);
    });

    it('waits for names in many inboxes and tells of each once, as it comes', async () => {
      const awaited = [partial(1, 0), partial(1, 1), partial(1, 1), partial(1, 0, 64), params(1), 'free/form'];
      await exchange.putValue(partial(1, 1), [filled(1)]);
      const seen: string[] = [];
      const waiting = exchange.waitFor(awaited, { timeoutMs: 10_000 }, (name) => seen.push(name));
      const comes = [partial(1, 1), 'free/form', params(1), partial(1, 0, 64), partial(1, 0)];
      for (const [i, name] of comes.entries()) {
        if (i > 0) await other.putValue(name, [filled(1)]);
        while (!seen.includes(name)) await sleep(5);
      }
      expect(await waiting).toEqual([]);
      expect(seen).toEqual(comes);
    });

    it('lets many waits of one process share an inbox', async () => {
      const waits = Array.from({ length: 20 }, (_, i) => exchange.waitFor([partial(1, i), partial(2, i)], { timeoutMs: 10_000 }));
      for (let i = 0; i < 20; i++) await other.putValue(partial(1, i), [filled(1)]);
      for (let i = 0; i < 20; i++) await other.putValue(partial(2, i), [filled(1)]);
      expect((await Promise.all(waits)).flat()).toEqual([]);
    });

    it('gives back what is missing when time is up, and looks once when there is none', async () => {
      await exchange.putValue(params(1), [filled(1)]);
      expect(await exchange.waitFor([params(2), params(1), params(3)], { timeoutMs: 0 })).toEqual([params(2), params(3)]);
      const startMs = performance.now();
      const timed = exchange.waitFor([params(2), params(1), partial(1, 1)], { timeoutMs: 80 });
      expect(await within(1_000, timed)).toEqual([params(2), partial(1, 1)]);
      expect(performance.now() - startMs).toBeGreaterThan(75);
      expect(await exchange.waitFor([], { timeoutMs: 80 })).toEqual([]);
    });

    it('ends a wait with the reason of whoever called it off', async () => {
      const early = AbortSignal.abort(new Error('called off before'));
      await expect(exchange.waitFor([params(1)], { timeoutMs: 10_000, signal: early })).rejects.toThrow('called off before');
      const controller = new AbortController();
      const waiting = exchange.waitFor([params(1)], { timeoutMs: 10_000, signal: controller.signal });
      setTimeout(() => controller.abort(new Error('called off')), 30);
      await expect(waiting).rejects.toThrow('called off');
      await expect(exchange.putValue(params(1), [filled(1)], early)).rejects.toThrow('called off before');
      expect(await exchange.present([params(1)])).toEqual([false]);
    });

    it('ends at once when what is there already is enough for its caller', async () => {
      await exchange.putValue(params(1), [filled(1)]);
      const enough = new AbortController();
      const waiting = exchange.waitFor([params(1), params(2)], { timeoutMs: 10_000, signal: enough.signal }, () => enough.abort(new Error('enough')));
      await expect(within(5_000, waiting)).rejects.toThrow('enough');
    });

    it('hands an error of onArrival to whoever waits', async () => {
      const fail = () => {
        throw new Error('no room for it');
      };
      const waiting = exchange.waitFor([params(1), params(2)], { timeoutMs: 10_000 }, fail);
      const refused = expect(waiting).rejects.toThrow('no room for it');
      await sleep(20);
      await other.putValue(params(1), [filled(1)]);
      await refused;
    });

    describe('takes values as they come', () => {
      let taking: Taking | undefined;
      const heard: string[] = [];
      const until = async (done: () => boolean) => {
        for (const endsAtMs = performance.now() + 10_000; !done() && performance.now() < endsAtMs;) await sleep(5);
        expect(done()).toBe(true);
      };
      const takeFrom = (from: Exchange, taker: Partial<Taker> = {}) => {
        heard.length = 0;
        taking = from.take(
          {
            taken: (name) => heard.push(name),
            gone: (name) => heard.push(`gone ${name}`),
            failed: (error) => heard.push(`failed ${String(error)}`),
            ...taker,
          },
          1_000,
        );
        taking.attend(true);
        return taking;
      };
      afterEach(() => taking?.stop());

      it('what is there and what comes, into rooms, into rooms whose length is not known, and into none', async () => {
        await exchange.putValue(partial(1, 0), [filled(1)]);
        await exchange.putValue(partial(2, 0), [filled(9)]);
        const rooms = { known: new Uint8Array(1_000), unknown: new Uint8Array(), large: new Uint8Array(2_500_000) };
        takeFrom(other).want([
          { name: partial(1, 0), bytes: 1_000, room: () => rooms.known },
          { name: partial(1, 1), room: (bytes) => (rooms.unknown = new Uint8Array(bytes)) },
          { name: params(1) },
        ]);
        await until(() => heard.length === 1);
        await exchange.putValue(partial(1, 1), [filled(2, 500), filled(3, 200)]);
        await until(() => heard.length === 2);
        await exchange.putValue(params(1), [filled(4)]);
        await until(() => heard.length === 3);
        taking!.want([{ name: params(2, 64), bytes: 2_500_000, room: () => rooms.large }, { name: partial(2, 0) }]);
        await exchange.putValue(params(2, 64), [filled(5, 2_500_000)]);
        await until(() => heard.length === 5);
        expect(heard.slice(0, 3)).toEqual([partial(1, 0), partial(1, 1), params(1)]);
        expect(heard.slice(3).sort()).toEqual([params(2, 64), partial(2, 0)].sort());
        expect(rooms.known).toEqual(filled(1));
        expect([rooms.unknown.length, rooms.unknown[499], rooms.unknown[500]]).toEqual([700, 2, 3]);
        expect(Buffer.compare(rooms.large, filled(5, 2_500_000))).toBe(0);
        expect(other.traffic).toMatchObject({ gets: 3, bytesRead: 1_000 + 700 + 2_500_000 + 3 * 24, puts: 0 });
      });

      it('and what came before it was wanted, step after step', async () => {
        takeFrom(other);
        for (let step = 0; step < 20; step++) {
          await exchange.putValue(params(step), [filled(step)]);
          const room = new Uint8Array(1_000);
          taking!.want([{ name: params(step), bytes: 1_000, room: () => room }]);
          await until(() => heard.length === step + 1);
          expect(room).toEqual(filled(step));
        }
      });

      it('and is told when one cannot be used: damaged, then whole after all; of another length; of another format', async () => {
        await exchange.putValue(params(1), [filled(1)]);
        await here.damage(uri, params(1), (stored) => flipBit(stored, exchangeFrames.headerBytes + 500));
        const room = new Uint8Array(1_000);
        takeFrom(other).want([{ name: params(1), bytes: 1_000, room: () => room }]);
        await until(() => heard.length === 1);
        await exchange.putValue(params(1), [filled(1)]);
        await until(() => heard.length === 2);
        expect(heard).toEqual([`gone ${params(1)}`, params(1)]);
        expect(room).toEqual(filled(1));
        await taking!.stop();

        await exchange.putValue(params(2), [filled(1)]);
        takeFrom(other).want([{ name: params(2), bytes: 999, room: () => filled(0, 999) }]);
        await until(() => heard.length === 1);
        expect(heard[0]).toMatch(/^failed RangeError: .*the value has 1000 bytes, its reader has room for 999/);
        await taking!.stop();

        await here.damage(uri, params(2), (stored) => flipBit(stored, 5));
        takeFrom(other).want([{ name: params(2), bytes: 1_000, room: () => room }]);
        await until(() => heard.length === 1);
        expect(heard[0]).toMatch(/^failed .*written in format version/);
      });

      it('hands an error of its taker back, and writes into no room once it is stopped', async () => {
        await exchange.putValue(params(1), [filled(1)]);
        const fail = () => {
          throw new Error('no room for it');
        };
        takeFrom(other, { taken: fail }).want([{ name: params(1) }]);
        await until(() => heard.length === 1);
        expect(heard).toEqual(['failed Error: no room for it']);
        await taking!.stop();

        const room = new Uint8Array(1_000);
        takeFrom(other).want([{ name: params(2), bytes: 1_000, room: () => room }]);
        await taking!.stop();
        await exchange.putValue(params(2), [filled(2)]);
        await sleep(60);
        expect([heard, room]).toEqual([[], filled(0)]);
      });
    });

    it('wakes a waiter in another process and is woken by it', async () => {
      const child = startChild(program(), ['exchange-answer', uri, 'runs/r/t/abc/', '100']);
      try {
        await nextMessage(child);
        const wholeMs: number[] = [];
        for (let i = 0; i < 100; i++) {
          const startMs = performance.now();
          await exchange.putValue(`runs/r/t/abc/steps/${i}/params/ask`, [filled(1)]);
          expect(await exchange.waitFor([`runs/r/t/abc/steps/${i}/state/answer`], { timeoutMs: 20_000 })).toEqual([]);
          wholeMs.push(performance.now() - startMs);
        }
        wholeMs.sort((a, b) => a - b);
        // Two wake-ups; by rechecks alone they would take 25 ms on average. S3 has nothing but looks.
        expect(wholeMs[50]).toBeLessThan(here.answerMs);
      } finally {
        await killChild(child);
      }
    }, 60_000);

    it('still wakes waiters after everything in it was deleted in mid-wait, again and again', async () => {
      for (let round = 0; round < 20; round++) {
        const waiting = exchange.waitFor([partial(1, 1)], { timeoutMs: 10_000 });
        await other.putValue(partial(1, 0), [filled(1)]);
        await other.delete(await other.list(''));
        await other.putValue(partial(1, 1), [filled(round)]);
        expect(await waiting).toEqual([]);
        await other.delete([partial(1, 1)]);
      }
      expect(await exchange.list('')).toEqual([]);
    });

    it('lists exactly the names that begin with a prefix, steps included', async () => {
      const all = [
        partial(1, 0),
        partial(1, 1),
        partial(10, 0),
        partial(1, 0, 64),
        params(1),
        params(10, 64),
        'runs/r/train/record',
        'runs/r2/x',
        'steps/1/x',
      ];
      for (const name of all) await exchange.putValue(name, [filled(1)]);
      const under = (prefix: string) => all.filter((name) => name.startsWith(prefix)).sort();
      const prefixes = [
        '',
        'runs/r/',
        'runs/r',
        objectNames.steps(id),
        objectNames.step(id, 1),
        'runs/r/train/abc/steps/1',
        'runs/r/train/abc/steps/1/partials/',
        'steps/',
        'no/',
      ];
      for (const prefix of prefixes) expect((await exchange.list(prefix)).sort()).toEqual(under(prefix));
      await exchange.delete(await exchange.list(objectNames.step(id, 1)));
      expect((await exchange.list('')).sort()).toEqual(all.filter((name) => !name.startsWith(objectNames.step(id, 1))).sort());
    });

    it('lists ten thousand names, each once', async () => {
      const all = Array.from({ length: here.manyNames }, (_, i) => partial(i % 50, i % 16, 64 * i));
      for (const name of all) await exchange.putValue(name, [filled(1, 4)]);
      expect((await exchange.list('')).sort()).toEqual([...all].sort());
      await exchange.delete(all);
      expect(await exchange.list('')).toEqual([]);
    }, 60_000);

    it('expires what was written long ago, and nothing younger', async () => {
      await exchange.putValue(params(1), [filled(1)]);
      await exchange.putValue('runs/r/free', [filled(1)]);
      await exchange.expire(60_000);
      expect((await exchange.list('')).sort()).toEqual([params(1), 'runs/r/free'].sort());
      // A server's own clock may be a second old, and is told in whole seconds.
      await sleep(60 + 3.5 * here.clockMs);
      await exchange.putValue(params(2), [filled(1)]);
      await exchange.expire(50);
      expect(await exchange.list('')).toEqual([params(2)]);
    });

    it.each([
      ['a cut value', (stored: Buffer) => stored.subarray(0, -1)],
      ['a cut header', (stored: Buffer) => stored.subarray(0, 20)],
      ['an empty one', () => Buffer.alloc(0)],
      ['a flipped bit', (stored: Buffer) => flipBit(stored, exchangeFrames.headerBytes + 500)],
      ['foreign bytes', () => Buffer.from('some other file, which is longer than a header of smlt would be')],
    ])('counts %s as absent, so that its publisher can put it again', async (_what, change) => {
      await exchange.putValue(params(1), [filled(1)]);
      await here.damage(uri, params(1), change);
      expect(await exchange.get(params(1))).toBeUndefined();
      expect(await exchange.present([params(1)])).toEqual([false]);
      await exchange.putValue(params(1), [filled(1)]);
      expect(await other.get(params(1))).toEqual(filled(1));
      await here.damage(uri, params(1), change);
      expect(await exchange.getInto(params(1), filled(0))).toBe(false);
      expect(await exchange.present([params(1)])).toEqual([false]);
    });

    it('names a value of another format version as such, and leaves it alone', async () => {
      await exchange.putValue(params(1), [filled(1)]);
      await here.damage(uri, params(1), (stored) => flipBit(stored, 5));
      await expect(exchange.get(params(1))).rejects.toEqual(code('VersionSkew'));
      await expect(exchange.getInto(params(1), filled(0))).rejects.toEqual(code('VersionSkew'));
      await expect(exchange.putValue(params(1), [filled(1)])).rejects.toThrow(
        `format version ${exchangeFrames.version + 256}; this smlt reads and writes version ${exchangeFrames.version}`,
      );
      expect(await exchange.present([params(1)])).toEqual([true]);
    });

    it.each(['', '/etc/passwd', '..', '../up', 'a/../../up', 'a//b', 'a/', 'a\\b', 'line\nbreak', 'sp ace'])(
      'refuses the name %j in every verb',
      async (name) => {
        const invalid = code('InvalidName');
        await expect(exchange.putValue(name, [])).rejects.toEqual(invalid);
        await expect(exchange.get(name)).rejects.toEqual(invalid);
        await expect(exchange.present(['fine', name])).rejects.toEqual(invalid);
        await expect(exchange.waitFor(['fine', name], { timeoutMs: 0 })).rejects.toEqual(invalid);
        await expect(exchange.delete(['fine', name])).rejects.toEqual(invalid);
        if (name !== '' && name !== 'a/') await expect(exchange.list(name)).rejects.toEqual(invalid);
      },
    );

    it('counts bytes with their headers, puts, gets and all requests, and each value only where it was moved', async () => {
      await exchange.putValue(partial(1, 0), [filled(1, 300), filled(2, 700)]);
      await other.putValue(partial(1, 0), [filled(1, 300), filled(2, 700)]);
      await other.get(partial(1, 0));
      await other.get(partial(2, 0));
      expect(exchange.traffic).toEqual({ bytesWritten: 1_024, bytesRead: 0, puts: 1, gets: 0, requests: 1 });
      expect(other.traffic).toEqual({ bytesWritten: 0, bytesRead: 1_024, puts: 1, gets: 2, requests: 3 });
    });
  });
});

function flipBit(stored: Buffer, at: number): Buffer {
  const changed = Buffer.from(stored);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}
