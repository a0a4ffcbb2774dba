/** @jest-environment ./test/support/native-arrays.ts */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, copyFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Loss } from '../../contracts/model';
import { writeGradients, type GradientFiles } from '../../client/model-gradients';
import { decodeSafetensors, encodeSafetensors, floatsFrom, type SafeTensor } from '../../training/safetensors';

/* Exported models against what PyTorch computes in float64. The fixtures' script: fixtures/onnx/make_models.py. */
const fixtures = join(__dirname, 'fixtures/onnx');
const folder = mkdtempSync(join(tmpdir(), 'smlt-gradients-'));
afterAll(() => rmSync(folder, { recursive: true }));
const read = (path: string): ReadonlyMap<string, SafeTensor> => decodeSafetensors(readFileSync(path)).tensors;
const out = join(folder, 'out.safetensors');
const files = (name: string, changes: Partial<GradientFiles> = {}): GradientFiles => ({
  model: join(fixtures, `${name}.onnx`),
  batch: join(fixtures, `${name}.batch`),
  targets: 'target',
  loss: 'softmax-cross-entropy',
  out,
  ...changes,
});

/** The largest difference, relative to the largest value expected. */
function error(got: SafeTensor, expected: SafeTensor): number {
  const [a, b] = [got.data as Float32Array, expected.data as Float64Array];
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  return b.reduce((most, value, i) => Math.max(most, Math.abs(value - a[i]!)), 0) / largest;
}

describe('gradients of an exported model', () => {
  it.each<[string, string, Loss | undefined, RegExp[]]>([
    [
      'integer and float inputs, two outputs, a buffer, both normalisations',
      'mixed',
      'softmax-cross-entropy',
      [/Dropout is left out/, /first of 2 outputs/],
    ],
    ['classes on the second axis', 'segment', 'softmax-cross-entropy', []],
    ['int32 labels of sequences, and a tied weight', 'tied', 'softmax-cross-entropy', []],
    ['halves in a file beside the model', 'half', 'mse', []],
    ['functions with attributes, in operator set 13', 'functions', 'bce-with-logits', []],
    ['its own loss', 'own-loss', undefined, []],
  ])('are those of PyTorch in float64: %s', async (_what, name, loss, notes) => {
    const made = await writeGradients(files(name, { loss, targets: loss && 'target' }));
    const [got, expected] = [read(out), read(join(fixtures, `${name}.expected`))];
    expect([...got.keys()].sort()).toEqual([...expected.keys()].sort());
    const errors = Object.fromEntries([...expected].map(([key, tensor]) => [key, error(got.get(key)!, tensor)]));
    expect(Object.entries(errors).filter(([, each]) => each > 1e-5)).toEqual([]);
    for (const [key, { shape }] of expected) expect(got.get(key)!.shape).toEqual(shape);
    expect(made.notes).toEqual(notes.map((note) => expect.stringMatching(note)));
  });

  it('are the same bytes again', async () => {
    await writeGradients(files('mixed'));
    const first = readFileSync(out);
    await writeGradients(files('mixed'));
    expect(readFileSync(out).equals(first)).toBe(true);
  });
});

describe('what cannot be computed is refused by name', () => {
  const changed = (name: string, change: (tensors: Map<string, SafeTensor>) => void): string => {
    const tensors = new Map(read(join(fixtures, `${name}.batch`)));
    change(tensors);
    const path = join(folder, `${name}.changed.batch`);
    writeFileSync(path, encodeSafetensors([...tensors.values()]));
    return path;
  };
  const labels = (shape: number[], values: number[]): SafeTensor => ({
    name: 'target',
    dtype: 'I64',
    shape,
    data: BigInt64Array.from(values, BigInt),
  });

  it.each<[string, () => GradientFiles, RegExp]>([
    ['no such model', () => files('mixed', { model: join(folder, 'none.onnx') }), /InvalidModel: .*none\.onnx: there is no such file/],
    ['a folder', () => files('mixed', { model: folder }), /InvalidModel: .*folder/],
    ['a file that is no model', () => files('mixed', { model: join(fixtures, 'mixed.batch') }), /InvalidModel: .*(decoded|no graph|imports)/],
    ['no such batch', () => files('mixed', { batch: join(folder, 'none') }), /BadData: .*none: there is no such file/],
    ['a batch that is no safetensors', () => files('mixed', { batch: join(fixtures, 'mixed.onnx') }), /BadData: .*mixed\.onnx: safetensors/],
    [
      'a missing input',
      () => files('mixed', { batch: changed('mixed', (t) => t.delete('w')) }),
      /BadData: .*no tensor 'w' for the model's input 'w'; it holds .*ids/,
    ],
    ['missing targets', () => files('mixed', { targets: 'y' }), /BadData: .*no tensor 'y' for the targets/],
    ['no targets', () => files('mixed', { targets: undefined, loss: undefined }), /InvalidSpec: .*\[4, 3\].*--targets and --loss/],
    [
      'an input of another shape',
      () => files('mixed', { batch: changed('mixed', (t) => t.set('w', { name: 'w', dtype: 'F32', shape: [4, 2], data: new Float32Array(8) })) }),
      /BadData: .*'w' has shape \[4, 2\]/,
    ],
    [
      'floats for token ids',
      () =>
        files('mixed', { batch: changed('mixed', (t) => t.set('ids', { name: 'ids', dtype: 'F32', shape: [4, 5], data: new Float32Array(20) })) }),
      /BadData: .*'ids' holds F32.*int64/,
    ],
    [
      'a label that is no class',
      () => files('mixed', { batch: changed('mixed', (t) => t.set('target', labels([4], [0, 1, 2, 3]))) }),
      /BadData: .*hold 3; expected labels from 0 to 2/,
    ],
    [
      'labels of another count',
      () => files('mixed', { batch: changed('mixed', (t) => t.set('target', labels([3], [0, 1, 2]))) }),
      /BadData: .*\[3\].*\[4, 3\]/,
    ],
    [
      'values of another count',
      () =>
        files('half', {
          loss: 'mse',
          batch: changed('half', (t) => t.set('target', { name: 'target', dtype: 'F32', shape: [5], data: new Float32Array(5) })),
        }),
      /BadData: .*\[5\].*\[5, 2\]/,
    ],
    ['a place that cannot be written', () => files('mixed', { out: join(folder, 'none', 'out') }), /InvalidSpec: --out/],
  ])('%s', async (_what, request, message) => {
    await expect(
      writeGradients(request()).catch((reason: Error & { code: string }) => Promise.reject(new Error(`${reason.code}: ${reason.message}`))),
    ).rejects.toThrow(message);
  });
});

describe('external data', () => {
  /** The model with another location for its data, of the same length. */
  const pointing = (location: string): string => {
    const bytes = readFileSync(join(fixtures, 'half.onnx'));
    for (let at = bytes.indexOf('half.data'); at >= 0; at = bytes.indexOf('half.data', at + 1)) bytes.write(location.padEnd(9), at, 'latin1');
    const path = join(folder, 'pointing.onnx');
    writeFileSync(path, bytes);
    return path;
  };
  const gradients = (model: string) => writeGradients(files('half', { model, loss: 'mse' }));

  it.each(['../hf.dat', '/hal.data', 'a/../../b', 'c:/f.data', 'a\\..\\b.d'])('at %s is refused', async (location) => {
    await expect(gradients(pointing(location.padEnd(9, 'x')))).rejects.toThrow(/relative path inside the model's own folder/);
  });
  it('behind a link that leaves the folder is refused', async () => {
    symlinkSync(join(fixtures, 'half.data'), join(folder, 'link.data'));
    await expect(gradients(pointing('link.data'))).rejects.toThrow(/is a link to .*outside the model's folder/);
  });
  it('that is missing or cut short is named', async () => {
    await expect(gradients(pointing('none.data'))).rejects.toThrow(/external data .*none\.data: there is no such file/);
    writeFileSync(join(folder, 'cut1.data'), readFileSync(join(fixtures, 'half.data')).subarray(0, 100));
    await expect(gradients(pointing('cut1.data'))).rejects.toThrow(/expected bytes \d+ to \d+ of cut1\.data, which has 100/);
  });
  it('in a folder below the model is found', async () => {
    mkdirSync(join(folder, 'sub'));
    copyFileSync(join(fixtures, 'half.data'), join(folder, 'sub/h.dat'));
    expect((await gradients(pointing('sub/h.dat'))).gradients).toHaveLength(4);
  });
});

it('reads halves exactly', () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x7c00);
  expect([...floatsFrom({ name: 'h', dtype: 'F16', shape: [6], data: bits })]).toEqual([1, -2, 2 ** -24, 65504, -0, Infinity]);
  expect([...floatsFrom({ name: 'b', dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc2f7) })]).toEqual([1, -123.5]);
});
