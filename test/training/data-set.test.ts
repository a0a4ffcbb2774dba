import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { DataSetManifest } from '../../contracts/data-set';
import { finishManifest, packDataSet, shardsFor, shardTensors, type RawDataSet } from '../../training/data-set';
import { encodeSafetensors, type SafeTensor } from '../../training/safetensors';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const refusal = (message: string) => expect.objectContaining({ code: 'BadData', message: expect.stringContaining(message) });

/** Sample i has features [i, -i] and label i % 3, so that a sample shows where it came from. */
const raw = (samples: number, more: Partial<RawDataSet> = {}): RawDataSet => ({
  features: Float32Array.from({ length: samples * 2 }, (_, i) => (i % 2 === 0 ? i / 2 : -(i - 1) / 2)),
  featureShape: [2],
  targets: Int32Array.from({ length: samples }, (_, i) => i % 3),
  kind: 'class',
  classes: 3,
  seed: 5,
  samplesPerShard: 4,
  ...more,
});
const packed = (samples: number, more: Partial<RawDataSet> = {}) => {
  const made = packDataSet(raw(samples, more));
  return { ...made, manifest: DataSetManifest.parse(finishManifest(made, sha256)) };
};

describe('packing a data set', () => {
  it('keeps every sample with its own target, shuffled, in shards of the asked size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 50 }), (samples, samplesPerShard) => {
        const { manifest, shards } = packed(samples, { samplesPerShard });
        const seen: number[] = [];
        shards.forEach(({ bytes }, index) => {
          const { features, targets } = shardTensors(bytes, manifest, index);
          targets.forEach((target, i) => {
            const id = features[i * 2]!;
            expect([features[i * 2 + 1], target]).toEqual([id === 0 ? -0 : -id, id % 3]);
            seen.push(id);
          });
          expect(targets.length).toBeLessThanOrEqual(samplesPerShard);
        });
        expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: samples }, (_, i) => i));
      }),
      { numRuns: 50 },
    );
  });
  it('shuffles by the seed alone, and really', () => {
    const order = (seed: number) => [...packed(30, { seed }).content.targets].join('');
    expect(order(1)).toBe(order(1));
    expect(new Set([order(1), order(2), [...(raw(30).targets as Int32Array)].join('')]).size).toBe(3);
  });
  it('gives a data set a digest that does not depend on its shards, but on every sample, label and order', () => {
    const digest = (more: Partial<RawDataSet> = {}) => packed(3_000, more).manifest.sha256;
    const changed = raw(3_000).features.slice();
    changed[4_321]! += 1;
    const relabelled = Int32Array.from(raw(3_000).targets);
    relabelled[2_999] = 0;
    expect(digest({ samplesPerShard: 700 })).toBe(digest());
    expect(
      new Set([digest(), digest({ features: changed }), digest({ targets: relabelled }), digest({ seed: 6 }), digest({ classes: 4 })]).size,
    ).toBe(5);
  });
  it('names the digest of each shard', () => {
    const { manifest, shards } = packed(10);
    expect(manifest.shards).toEqual(shards.map(({ file, samples, bytes }) => ({ file, samples, sha256: sha256(bytes) })));
    expect(manifest.shards.map(({ file, samples }) => `${file} ${samples}`)).toEqual([
      'shard-00000.safetensors 4',
      'shard-00001.safetensors 4',
      'shard-00002.safetensors 2',
    ]);
  });
  it('keeps values of any width for regression', () => {
    const targets = Float32Array.from({ length: 12 }, (_, i) => i / 8);
    const { manifest, shards } = packed(6, { kind: 'values', targets, classes: undefined });
    expect(manifest.target).toEqual({ kind: 'values', width: 2 });
    const read = shardTensors(shards[0]!.bytes, manifest, 0);
    expect(read.targets).toBeInstanceOf(Float32Array);
    for (let i = 0; i < 4; i++) expect(read.targets[i * 2]).toBe(read.features[i * 2]! / 4);
  });
  it.each<[string, Partial<RawDataSet>, string]>([
    ['an empty set', { features: new Float32Array(), targets: [] }, 'the data set is empty'],
    ['features that are no whole number of samples', { features: new Float32Array(7) }, '7 features: expected a multiple of 2'],
    ['another number of labels than samples', { targets: [0, 1] }, '2 targets for 4 samples: expected one label a sample'],
    ['a label out of range', { targets: [0, 1, 3, 0] }, 'sample 2: label 3: expected a whole number from 0 to 2'],
    ['a negative label', { targets: [0, -1, 0, 0] }, 'sample 1: label -1'],
    ['a label between classes', { targets: [0, 0.5, 0, 0] }, 'sample 1: label 0.5'],
    ['one class only', { classes: 1 }, '1 classes: expected at least 2'],
    ['NaN among the features', { features: Float32Array.of(0, 0, 0, 0, 0, NaN, 0, 0) }, 'features, sample 2: feature 1 is NaN'],
    ['an infinite target', { kind: 'values', targets: [1, 2, Infinity, 4] }, 'target 0 is Infinity'],
    ['shards of no sample', { samplesPerShard: 0 }, 'samplesPerShard 0'],
  ])('refuses %s', (_name, more, message) => {
    expect(() => packDataSet(raw(4, more))).toThrow(refusal(message));
  });
});

describe('reading a shard', () => {
  const { manifest, shards } = packed(10);
  const shard = (...tensors: SafeTensor[]) => encodeSafetensors(tensors);
  const x = (values: number[], shape = [4, 2]): SafeTensor => ({ name: 'x', dtype: 'F32', shape, data: Float32Array.from(values) });
  const y = (values: number[]): SafeTensor => ({ name: 'y', dtype: 'I64', shape: [values.length], data: BigInt64Array.from(values, BigInt) });
  const zeros = new Array<number>(8).fill(0);
  it.each<[string, Uint8Array, string]>([
    ['bytes cut off', shards[1]!.bytes.subarray(0, 50), 'shard 1 (shard-00001.safetensors): safetensors: header of'],
    ['no targets', shard(x(zeros)), 'tensor y is missing; expected I64 [4], found x'],
    ['features of another shape', shard(x(zeros, [2, 4]), y([0, 0, 0, 0])), 'tensor x: expected F32 [4, 2], got F32 [2, 4]'],
    ['labels of another type', shard(x(zeros), { ...x([0, 0, 0, 0], [4]), name: 'y' }), 'tensor y: expected I64 [4], got F32 [4]'],
    ['NaN', shard(x([0, 0, 0, NaN, 0, 0, 0, 0]), y([0, 0, 0, 0])), 'shard 1 (shard-00001.safetensors), sample 1: feature 1 is NaN'],
    ['a label out of range', shard(x(zeros), y([0, 2, 1, 3])), 'sample 3: label 3: expected 0 to 2'],
  ])('refuses %s, naming shard and place', (_name, bytes, message) => {
    expect(() => shardTensors(bytes, manifest, 1)).toThrow(refusal(message));
  });
  it('refuses a shard that the manifest does not list', () => {
    expect(() => shardTensors(shards[0]!.bytes, manifest, 3)).toThrow(refusal('shard 3: the manifest lists 3'));
  });
});

describe('finding shards', () => {
  const { manifest } = packed(10);
  it('names those that hold a span of samples, and which part of each is wanted', () => {
    expect(shardsFor(manifest, { start: 3, end: 9 }).map(({ shard, samples, wanted }) => ({ shard, samples, wanted }))).toEqual([
      { shard: 0, samples: { start: 0, end: 4 }, wanted: { start: 3, end: 4 } },
      { shard: 1, samples: { start: 4, end: 8 }, wanted: { start: 4, end: 8 } },
      { shard: 2, samples: { start: 8, end: 10 }, wanted: { start: 8, end: 9 } },
    ]);
    expect(shardsFor(manifest, { start: 4, end: 4 })).toEqual([]);
  });
  it('refuses samples that are not there, and a manifest that does not add up', () => {
    expect(() => shardsFor(manifest, { start: 0, end: 11 })).toThrow(refusal('samples 0-11: the data set has 10'));
    expect(() => shardsFor({ ...manifest, samples: 11 }, { start: 0, end: 1 })).toThrow(refusal('its shards hold 10 samples, expected 11'));
  });
});
