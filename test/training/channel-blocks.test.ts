/** @jest-environment ./test/support/native-arrays.ts */
import { readFileSync } from 'node:fs';
import { hasBlocks } from '../../training/channel-blocks';
import type { GraphWriter } from '../../training/graph-writer';
import { encodeModel } from '../../training/onnx/codec';
import type { Graph } from '../../training/onnx/graph';
import { floatTensor, int, ints, sizeOf } from '../../training/onnx/graph';
import { hasChannelBlocks, runGraph } from '../../training/runtime';
import type { Value } from '../../training/shapes';
import { trainingForm } from '../../training/training-form';
import { trainingGraph } from '../../training/training-graph';
import { requireBackend } from '../support/require';

interface Case {
  readonly x: readonly [samples: number, channels: number, height: number, width: number];
  readonly w: readonly [filters: number, channels: number, height: number, width: number];
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly group?: number;
}
/** Numbers in [-1, 1) that repeat nowhere. */
const numbers = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((Math.imul(i + 1 + seed * 7_919, 2_654_435_761) >>> 0) / 2 ** 31) % 1);

/** Y = (X + shift) ∗ W + B, all but X trained, with the loss Σ Y r: every gradient of the convolution shows. */
function graphOf({ x, w, strides = [1, 1], dilations = [1, 1], pads = [0, 0, 0, 0], group = 1 }: Case): Graph {
  const attributes = { kernel_shape: ints(w.slice(2)), strides: ints(strides), dilations: ints(dilations), pads: ints(pads), group: int(group) };
  return {
    name: 'convolution',
    opset: 20,
    nodes: [
      { op: 'Add', domain: '', name: 'shifted', inputs: ['x', 'shift'], outputs: ['shifted'], attributes: {} },
      { op: 'Conv', domain: '', name: 'conv', inputs: ['shifted', 'w', 'b'], outputs: ['y'], attributes },
    ],
    initializers: new Map([
      ['shift', floatTensor(x, numbers(sizeOf(x), 1))],
      ['w', floatTensor(w, numbers(sizeOf(w), 2))],
      ['b', floatTensor([w[0]], numbers(w[0], 3))],
    ]),
    inputs: [{ name: 'x', type: 'float32', shape: x }],
    outputs: [{ name: 'y', type: 'float32', shape: undefined }],
  };
}

function trained(each: Case, blocked: boolean): Graph {
  const form = trainingForm(graphOf(each), new Map(['shift', 'w', 'b'].map((name) => [name, 'parameter' as const])));
  const loss = (g: GraphWriter, Y: Value) => {
    const gradient = g.constant(floatTensor(Y.shape, numbers(sizeOf(Y.shape), 4)));
    return { loss: g.sumAll(g.mul(Y, gradient)), gradient, inputs: [] };
  };
  const inputs: Value[] = [{ name: 'x', type: 'float32', shape: each.x }];
  return trainingGraph(form, { samples: each.x[0], inputs, candidates: ['shift', 'w', 'b'], loss, blocked }).graph;
}

async function results(each: Case, blocked: boolean): Promise<Record<string, Float32Array>> {
  const parameters = [...graphOf(each).initializers];
  const feeds = { x: { type: 'float32' as const, shape: each.x, data: numbers(sizeOf(each.x), 5) }, ...Object.fromEntries(parameters) };
  return runGraph(encodeModel(trained(each, blocked)), feeds);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer => Buffer.from(buffer, byteOffset, byteLength);

/** Few channels and places, any window; undefined where the window does not fit. */
function randomCase(seed: number): Case | undefined {
  let state = seed;
  const below = (bound: number) => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8) % bound;
  const of = <T>(...choices: T[]): T => choices[below(choices.length)] as T;
  const samples = of(1, 5, 13, 17, 40);
  const channels = of(3, 7, 16, 32);
  const [height, width] = [3 + below(14), 3 + below(14)];
  const w = [of(16, 32), channels, 1 + below(4), 1 + below(4)] as const;
  const [strides, dilations] = [
    [1 + below(3), 1 + below(2)],
    [1 + below(2), 1 + below(2)],
  ];
  const pads = [below(3), below(3), below(3), below(3)];
  const fits = [height, width].every((size, i) => size + pads[i]! + pads[i + 2]! > (w[i + 2]! - 1) * dilations[i]!);
  return fits ? { x: [samples, channels, height, width], w, strides, dilations, pads } : undefined;
}

async function expectSame(each: Case): Promise<Record<string, Float32Array>> {
  const [plain, blocked] = [await results(each, false), await results(each, true)];
  expect(Object.keys(blocked).sort()).toEqual(Object.keys(plain).sort());
  for (const [name, expected] of Object.entries(plain)) {
    const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - blocked[name]![i]!)), 0);
    expect([JSON.stringify(each), name, error / scale < 5e-6 || error / scale]).toEqual([JSON.stringify(each), name, true]);
  }
  return blocked;
}

const cases: Record<string, Case> = {
  'whole blocks, padded': { x: [8, 32, 16, 16], w: [16, 32, 3, 3], pads: [1, 1, 1, 1] },
  'three input channels': { x: [4, 3, 24, 24], w: [32, 3, 5, 5], pads: [2, 2, 2, 2] },
  'fewer filters than a block, from whole blocks': { x: [4, 16, 24, 24], w: [6, 16, 3, 3], pads: [1, 1, 1, 1] },
  'one more sample than fits into a piece': { x: [17, 16, 12, 12], w: [16, 16, 3, 3], pads: [1, 1, 1, 1] },
  'one sample': { x: [1, 16, 50, 50], w: [16, 16, 3, 3], pads: [1, 1, 1, 1] },
  'a stride that does not divide': { x: [8, 16, 36, 35], w: [32, 16, 3, 3], strides: [2, 3], pads: [1, 1, 1, 1] },
  'dilated, with uneven pads': { x: [8, 16, 20, 22], w: [16, 16, 3, 2], dilations: [2, 3], pads: [1, 2, 3, 0] },
  'a kernel beyond its pads': { x: [6, 16, 24, 24], w: [16, 16, 5, 4] },
  'one tap': { x: [8, 32, 20, 20], w: [48, 32, 1, 1] },
};

requireBackend(
  'avx512',
  () => (process.arch === 'x64' && process.platform === 'linux' && readFileSync('/proc/cpuinfo', 'utf8').includes('avx512f') ? true : undefined),
  'a CPU with AVX-512, on Linux',
).describe('convolutions in channel blocks', () => {
  it('are there on this CPU', async () => expect(await hasChannelBlocks()).toBe(true));

  it.each(Object.entries(cases))('have the results and gradients of plain ones: %s', async (_what, each) => {
    expect(hasBlocks(trained(each, true))).toBe(true);
    expect(hasBlocks(trained(each, false))).toBe(false);
    const blocked = await expectSame(each);
    const again = await results(each, true);
    for (const [name, values] of Object.entries(blocked)) expect([name, bytesOf(again[name]!).equals(bytesOf(values))]).toEqual([name, true]);
  });

  it('have them for random windows', async () => {
    const tried = Array.from({ length: 20 }, (_, seed) => randomCase(seed + 1)).filter((each) => each && hasBlocks(trained(each, true)));
    expect(tried.length).toBeGreaterThan(3);
    for (const each of tried) await expectSame(each!);
  }, 30_000);

  it.each<[string, Case]>([
    ['groups', { x: [4, 32, 24, 24], w: [32, 16, 3, 3], group: 2 }],
    ['channels that fill no blocks', { x: [4, 20, 24, 24], w: [20, 20, 3, 3] }],
    ['so few places that turning the weights would cost more', { x: [2, 64, 4, 4], w: [64, 64, 3, 3], pads: [1, 1, 1, 1] }],
  ])('are left plain for %s', (_what, each) => expect(hasBlocks(trained(each, true))).toBe(false));
});
