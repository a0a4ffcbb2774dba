import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { ObjectStore } from '../../storage/object-store';
import { objectStores, openObjectStore } from '../../storage/index';
import { objectFrames } from '../../storage/frame';
import { compileProgram, killChild, nextMessage, startChild } from '../support/child';
import { objectStorePlaces, type Place } from './places';

const filled = (byte: number, bytes = 1_000) => new Uint8Array(bytes).fill(byte);
const code = (value: string) => expect.objectContaining({ code: value });
const badNames = ['', '/', '/etc/passwd', '..', '../up', 'a/../../up', 'a/./b', 'a//b', 'a/', 'a\\b', 'line\nbreak', 'nul\0', 'sp ace', 'ümlaut'].map(
  (name) => [JSON.stringify(name), name] as const,
);
const program = () => compileProgram(join(__dirname, 'child-program.ts'));

describe.each(Object.keys(objectStores))('object stores', (scheme) => {
  const place = objectStorePlaces[scheme];
  if (place === undefined) {
    it(`has a place for ${scheme}: in test/storage/places.ts`, () => expect(Object.keys(objectStorePlaces)).toContain(scheme));
    return;
  }
  place.describe(`${scheme}: object store`, (openPlace) => {
    let here: Place;
    let uri: string;
    let store: ObjectStore;
    beforeAll(async () => {
      here = await openPlace();
      program();
    }, 30_000);
    beforeEach(async () => {
      uri = here.uri();
      store = await openObjectStore(uri);
    });
    afterAll(() => here.close());

    it('gives back the bytes it was given, from none to megabytes', async () => {
      for (const bytes of [filled(0, 0), filled(1, 1), filled(2, 3_000_001)]) {
        await store.putValue(`sizes/${bytes.length}`, bytes);
        expect(Buffer.compare(await store.get(`sizes/${bytes.length}`), bytes)).toBe(0);
      }
    });

    it('shows a finished put to another opening of the same URI', async () => {
      await store.putValue('seen', filled(1));
      expect(await (await openObjectStore(store.uri)).get('seen')).toEqual(filled(1));
    });

    it('hands out copies: changing one changes neither the store nor another copy', async () => {
      const given = filled(1);
      await store.putValue('copy', given);
      given.fill(9);
      const decided = await store.decide('copy', filled(2));
      decided.fill(9);
      (await store.get('copy')).fill(9);
      expect(await store.get('copy')).toEqual(filled(1));
      const own = Buffer.from(filled(3));
      const first = await store.decide('decided', own);
      own.fill(9);
      expect(first).toEqual(filled(3));
    });

    it('returns values that floats can be viewed in', async () => {
      await store.putValue('floats', new Uint8Array(new Float32Array([1.5, -2]).buffer));
      const { buffer, byteOffset } = await store.get('floats');
      expect([...new Float32Array(buffer, byteOffset, 2)]).toEqual([1.5, -2]);
    });

    it("reads into the reader's own bytes, and nothing around them; never into bytes of another length", async () => {
      const bytes = Uint8Array.from({ length: 3_000_001 }, (_, i) => (i * i) >>> 3);
      await store.putValue('into', bytes);
      await store.putValue('nothing', filled(0, 0));
      const room = filled(7, bytes.length + 20);
      await store.getInto('into', room.subarray(10, -10));
      await store.getInto('nothing', room.subarray(5, 5));
      expect(Buffer.compare(room.subarray(10, -10), bytes)).toBe(0);
      expect([...room.subarray(0, 10), ...room.subarray(-10)]).toEqual(new Array(20).fill(7));
      for (const wrong of [room, room.subarray(0, 999), room.subarray(0, 0)])
        await expect(store.getInto('into', wrong)).rejects.toThrow(`the value has 3000001 bytes, its reader has room for ${wrong.length}`);
      await expect(store.getInto('absent', room)).rejects.toEqual(code('ObjectMissing'));
    });

    it('takes the same value twice, and other bytes under its name never', async () => {
      await store.putValue('value', filled(1));
      await store.putValue('value', filled(1));
      await expect(store.putValue('value', filled(2))).rejects.toEqual(code('NotDeterministic'));
      await expect(store.putValue('value', filled(1, 999))).rejects.toThrow(/1000 bytes.*999 bytes/);
      expect(await store.get('value')).toEqual(filled(1));
    });

    it('lets one of many unequal values win, and all of many equal ones', async () => {
      const outcomes = await Promise.allSettled(Array.from({ length: 24 }, (_, i) => store.putValue('raced', filled(i))));
      const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
      expect(winners).toHaveLength(1);
      expect(await store.get('raced')).toEqual(filled(winners[0] ?? -1));
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toEqual(code('NotDeterministic'));
      await Promise.all(Array.from({ length: 24 }, () => store.putValue('together', filled(7))));
    });

    it('gives all racers the same decision', async () => {
      const decisions = await Promise.all(Array.from({ length: 24 }, (_, i) => store.decide('choice', filled(i))));
      const stored = await store.get('choice');
      for (const decision of decisions) expect(decision).toEqual(stored);
    });

    it('gives racers in other processes the same decisions', async () => {
      const names = Array.from({ length: 20 }, (_, i) => `choices/${i}`);
      const children = [0, 1, 2].map((own) => startChild(program(), ['decide', uri, String(own), ...names]));
      try {
        await Promise.all(children.map((child) => nextMessage(child)));
        const answers = children.map((child) => nextMessage<number[]>(child));
        children.forEach((child) => child.send('go'));
        const [first, ...others] = await Promise.all(answers);
        for (const other of others) expect(other).toEqual(first);
        for (const [i, name] of names.entries()) expect((await store.get(name))[0]).toBe(first?.[i]);
      } finally {
        await Promise.all(children.map(killChild));
      }
    }, 60_000);

    it('shows readers a replaced record whole, the old one or the new', async () => {
      const child = startChild(program(), ['replace', uri, 'record', '200000']);
      try {
        await nextMessage(child);
        const seen = new Set<number>();
        const untilMs = performance.now() + 1_000;
        while (performance.now() < untilMs) {
          const record = await store.get('record');
          expect(record).toHaveLength(200_000);
          expect(record.every((byte) => byte === record[0])).toBe(true);
          seen.add(record[0] ?? -1);
        }
        expect(seen.size).toBeGreaterThan(3);
      } finally {
        await killChild(child);
      }
    }, 60_000);

    it('never shows half of what another process writes, even when that is killed at it', async () => {
      for (let round = 0; round < 3; round++) {
        const prefix = `halves/${round}/`;
        const child = startChild(program(), ['put-many', uri, prefix, '500000']);
        try {
          await nextMessage(child);
          for (let i = 0; i < 6; i++) {
            let value: Uint8Array | undefined;
            while (value === undefined) {
              value = await store.get(`${prefix}${i}`).catch((error: { code?: string }) => {
                if (error.code !== 'ObjectMissing') throw error;
                return undefined;
              });
            }
            expect(Buffer.compare(value, filled(i, 500_000))).toBe(0);
          }
        } finally {
          await killChild(child);
        }
        for (const name of await store.list(prefix)) {
          const number = Number(name.slice(prefix.length));
          expect(Buffer.compare(await store.get(name), filled(number % 200, 500_000))).toBe(0);
        }
      }
    }, 60_000);

    it('says what it knows of a value without reading it', async () => {
      await store.putValue('a/b', filled(1));
      await store.replace('a/b', filled(5, 12));
      expect(await store.head('a/b')).toEqual({ name: 'a/b', bytes: 12, sha256: createHash('sha256').update(filled(5, 12)).digest('hex') });
      expect(await store.head('a/c')).toBeUndefined();
    });

    it('calls a name under which nothing is stored missing, and deletes it without an error', async () => {
      await store.putValue('there', filled(1));
      await expect(store.get('nowhere/at/all')).rejects.toEqual(code('ObjectMissing'));
      await expect(store.get('there/below')).rejects.toEqual(code('ObjectMissing'));
      await store.delete(['nowhere/at/all', 'there']);
      await expect(store.get('there')).rejects.toEqual(code('ObjectMissing'));
      await store.delete([]);
    });

    it('lists exactly the names that begin with a prefix, whole segments or not', async () => {
      const all = ['runs/a/1', 'runs/a/2', 'runs/ab/1', 'runs/b', 'other', '~.odd+name=(1)&%20?#'];
      await Promise.all(all.map((name) => store.putValue(name, filled(1))));
      const listed = async (prefix: string) => (await store.list(prefix)).sort();
      expect(await listed('')).toEqual([...all].sort());
      expect(await listed('runs/a/')).toEqual(['runs/a/1', 'runs/a/2']);
      expect(await listed('runs/a')).toEqual(['runs/a/1', 'runs/a/2', 'runs/ab/1']);
      expect(await listed('runs/b')).toEqual(['runs/b']);
      expect(await listed('nothing/')).toEqual([]);
    });

    it('lists thousands of names, each once, and deletes them', async () => {
      const all = Array.from({ length: here.manyNames }, (_, i) => `many/${i % 7}/${i}`);
      for (let i = 0; i < all.length; i += 100) await Promise.all(all.slice(i, i + 100).map((name) => store.putValue(name, filled(1, 10))));
      expect((await store.list('many/')).sort()).toEqual([...all].sort());
      await store.delete(all);
      expect(await store.list('')).toEqual([]);
    }, 180_000);

    it('loses no put to the deleting of its neighbours', async () => {
      for (let round = 0; round < 25; round++) {
        await store.putValue(`busy/folder/${round}`, filled(1));
        await Promise.all([store.delete([`busy/folder/${round}`]), store.putValue(`busy/folder/next-${round}`, filled(2))]);
        expect(await store.list('busy/')).toEqual([`busy/folder/next-${round}`]);
        await store.delete([`busy/folder/next-${round}`]);
      }
    });

    it.each([
      ['a cut value', (stored: Buffer) => stored.subarray(0, -1), 'ObjectCorrupt'],
      ['a cut header', (stored: Buffer) => stored.subarray(0, 20), 'ObjectCorrupt'],
      ['nothing at all', () => Buffer.alloc(0), 'ObjectCorrupt'],
      ['a longer value', (stored: Buffer) => Buffer.concat([stored, filled(1, 1)]), 'ObjectCorrupt'],
      ['a flipped bit', (stored: Buffer) => flipBit(stored, objectFrames.headerBytes + 500), 'ObjectCorrupt'],
      ['a foreign file', () => Buffer.from('{"some": "other file, which is longer than a header of smlt would be"}'), 'ObjectCorrupt'],
      ['another format version', (stored: Buffer) => flipBit(stored, 5), 'VersionSkew'],
    ])('refuses %s by name instead of handing it out', async (_what, change, expected) => {
      await store.putValue('damaged', filled(1));
      await here.damage(uri, 'damaged', change);
      await expect(store.get('damaged')).rejects.toEqual(code(expected));
      await expect(store.get('damaged')).rejects.toThrow(/damaged/);
      await expect(store.decide('damaged', filled(2))).rejects.toEqual(code(expected));
    });

    it.each([...badNames, ['one of 901 bytes', 'x'.repeat(901)] as const])('refuses the name %s in every verb', async (_what, name) => {
      const invalid = code('InvalidName');
      await expect(store.putValue(name, filled(1))).rejects.toEqual(invalid);
      await expect(store.decide(name, filled(1))).rejects.toEqual(invalid);
      await expect(store.replace(name, filled(1))).rejects.toEqual(invalid);
      await expect(store.get(name)).rejects.toEqual(invalid);
      await expect(store.head(name)).rejects.toEqual(invalid);
      await expect(store.delete(['fine', name])).rejects.toEqual(invalid);
      if (name !== '' && name !== 'a/') await expect(store.list(name)).rejects.toEqual(invalid);
    });

    it('does nothing for a caller that has already given up', async () => {
      const signal = AbortSignal.abort(new Error('given up'));
      await expect(store.putValue('late', filled(1), signal)).rejects.toThrow('given up');
      await expect(store.decide('late', filled(1), signal)).rejects.toThrow('given up');
      await expect(store.replace('late', filled(1), signal)).rejects.toThrow('given up');
      await expect(store.get('late', signal)).rejects.toThrow('given up');
      await expect(store.list('', signal)).rejects.toThrow('given up');
      expect(await store.list('')).toEqual([]);
    });
  });
});

function flipBit(stored: Buffer, at: number): Buffer {
  const changed = Buffer.from(stored);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}
