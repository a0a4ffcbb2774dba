import * as ort from 'onnxruntime-node';
import { differentiate } from '../../../training/differentiate';
import { fixBatch } from '../../../training/fix-batch';
import { lowerings } from '../../../training/lowering/index';
import { encodeModel } from '../../../training/onnx/codec';
import type { Attribute, Attributes, Graph, Node, Tensor } from '../../../training/onnx/graph';
import { dataOf, float, int, ints, intTensor, sizeOf, text } from '../../../training/onnx/graph';
import { bitsAt, streamOf } from '../../../training/random';
import { trainingBatchNorm, ZERO } from '../../../training/batch-norm';
import type { Array64, Options } from '../reference/arrays';
import { reference } from '../reference/index';
import type { Input, Row } from './row';

const describeInput = (input: Input): string =>
  input === undefined ? '-' : 'fixed' in input ? `(${input.fixed.join()})` : 'between' in input ? `[${input.shape.join()}]` : `[${input.join()}]`;
/** What the row tests, as a test's name. */
export const nameOf = ({ op, inputs, options = {} }: Row): string => `${op} ${inputs.map(describeInput).join(' ')} ${JSON.stringify(options)}`;

const floatAttributes = [
  ...['alpha', 'beta', 'gamma', 'epsilon', 'lambd', 'bias', 'clip', 'scale', 'softcap', 'cubic_coeff_a'],
  ...['activation_alpha', 'activation_beta'],
];
function attribute(name: string, value: Options[string]): Attribute {
  if (typeof value === 'string') return text(value);
  if (!Array.isArray(value)) return floatAttributes.includes(name) ? float(value as number) : int(value as number);
  if (typeof value[0] === 'string') return { kind: 'strings', value: value as string[] };
  return floatAttributes.includes(name) ? { kind: 'floats', value: value as number[] } : ints(value as number[]);
}

/** Values that stay clear of the kinks at 0, all different. */
export function valuesFor(shape: readonly number[], [low, high]: readonly [number, number], key: number): number[] {
  const stream = streamOf(77, key);
  return Array.from({ length: sizeOf(shape) }, (_, i) => {
    const value = low + (high - low) * (bitsAt(stream, i) / 2 ** 32);
    return Math.fround(Math.abs(value) < 0.02 ? value + 0.05 : value);
  });
}

export interface Prepared {
  readonly name: string;
  readonly trains: boolean;
  readonly tensor: Tensor;
}
export const prepare = (inputs: readonly Input[]): (Prepared | undefined)[] =>
  inputs.map((input, i) => {
    if (input === undefined) return undefined;
    if ('fixed' in input) {
      const { fixed, type = 'int64', shape = [fixed.length] } = input;
      return { name: `in${i}`, trains: false, tensor: { type, shape, data: dataOf(type, fixed) } };
    }
    const { shape, between } = 'between' in input ? input : { shape: input, between: [-1.5, 1.5] as const };
    return { name: `in${i}`, trains: true, tensor: { type: 'float32', shape, data: dataOf('float32', valuesFor(shape, between, i)) } };
  });

const asArray = ({ tensor }: Prepared): Array64 => ({
  shape: tensor.shape,
  data: Array.from(tensor.data as ArrayLike<number | bigint>, Number),
  bool: tensor.type === 'bool',
});

/** A graph of the row's operator alone, with the output y. */
export function graphOf({ op, options = {}, use, opset = 20 }: Row, prepared: readonly (Prepared | undefined)[]): Graph {
  const attributes: Attributes = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, attribute(name, value)]));
  const inputs = prepared.map((input) => input?.name ?? '');
  const initializers = new Map(prepared.flatMap((input) => (input ? [[input.name, input.tensor] as const] : [])));
  const outputs = Array.from({ length: use?.outputs ?? 1 }, (_, i) => `out${i}`);
  let nodes: Node[] = [{ op, domain: '', name: 'tested', inputs, outputs, attributes }];
  if (op === 'BatchNormalization') {
    // The form that prepare.ts gives it.
    initializers.set(ZERO, { type: 'float32', shape: [], data: Float32Array.of(0) });
    nodes = trainingBatchNorm(nodes[0]!, ['mean', 'variance'], () => true);
  }
  nodes.push(...ending(use));
  return { name: op, opset, nodes, initializers, inputs: [], outputs: [{ name: 'y', type: 'float32', shape: undefined }] };
}

/** The tested output under the name y; of several, their elements one after the other. */
function ending(use: Row['use']): Node[] {
  const node = (kind: string, inputs: string[], output: string, attributes: Attributes = {}): Node => ({
    op: kind,
    domain: '',
    name: output,
    inputs,
    outputs: [output],
    attributes,
  });
  if (!use) return [node('Identity', ['out0'], 'y')];
  const flat = use.joined.map((i) => node('Reshape', [`out${i}`, 'flat'], `flat${i}`));
  return [
    node('Constant', [], 'flat', { value: { kind: 'tensor', value: intTensor([1], [-1]) } }),
    ...flat,
    node(
      'Concat',
      flat.map(({ name }) => name),
      'y',
      { axis: int(0) },
    ),
  ];
}

function forward({ op, options = {}, use }: Row, inputs: readonly (Array64 | undefined)[]): Array64 {
  const outputs = reference[op]!(inputs, options);
  if (!use) return outputs[0]!;
  const data = use.joined.flatMap((i) => outputs[i]!.data);
  return { shape: [data.length], data };
}

const feed = ({ type, data, shape }: Tensor): ort.Tensor =>
  new ort.Tensor(type as 'float32', type === 'bool' ? (Uint8Array.from(data as Uint8Array) as never) : (data as Float32Array), shape);

/**
 * Holds a row against the float64 yardstick: what ONNX Runtime makes of the operator itself, what it makes of smlt's
 * training graph, and each gradient of that graph against central differences.
 */
export async function verify(row: Row): Promise<void> {
  const prepared = prepare(row.inputs);
  const trained = prepared.filter((input) => input?.trains) as Prepared[];
  const arrays = prepared.map((input) => input && asArray(input));
  const expectedY = forward(row, arrays);
  const weights = valuesFor(expectedY.shape, [-1, 1], 99);
  const model = graphOf(row, prepared);

  const fixed = fixBatch(model, [], new Set(trained.map(({ name }) => name)));
  const { g } = fixed;
  const y = fixed.valueOf('y');
  expect(y.shape).toEqual(expectedY.shape);
  const dY = g.define({ name: 'dY', shape: y.shape, type: 'float32' });
  const names = trained.map(({ name }) => name);
  const gradients = differentiate(fixed, names, y, dY);
  expect([...gradients.keys()].sort()).toEqual([...names].sort());
  const graph = g.graph(row.op, [dY, ...names.map(fixed.valueOf)], [y, ...gradients.values()]);
  const session = await ort.InferenceSession.create(encodeModel(graph), { logSeverityLevel: 3 });
  const feeds: Record<string, ort.Tensor> = { dY: new ort.Tensor('float32', Float32Array.from(weights), y.shape) };
  for (const { name, tensor } of trained) feeds[name] = feed(tensor);
  for (const name of Object.keys(feeds)) if (!session.inputNames.includes(name)) delete feeds[name];
  const results = await session.run(feeds);
  closeTo(Array.from(results.y!.data as Float32Array), expectedY.data, 'forward');
  if (lowerings[row.op] && row.notInRuntime === undefined) {
    const own = await ort.InferenceSession.create(encodeModel(model), { logSeverityLevel: 3 });
    closeTo(Array.from((await own.run({})).y!.data as Float32Array), expectedY.data, "ONNX Runtime's own operator");
  }

  const total = (changed: readonly (Array64 | undefined)[]) => forward(row, changed).data.reduce((sum, value, i) => sum + value * weights[i]!, 0);
  for (const { name } of trained) {
    const i = prepared.findIndex((input) => input?.name === name);
    const { shape, data } = arrays[i]!;
    const h = 1e-5;
    const differences = data.map((value, k) => {
      const moved = (by: number) => arrays.with(i, { shape, data: data.with(k, value + by) });
      return (total(moved(h)) - total(moved(-h))) / (2 * h);
    });
    const gradient = results[gradients.get(name)!.name]!;
    expect(gradient.dims).toEqual(shape);
    closeTo(Array.from(gradient.data as Float32Array), differences, `gradient of input ${i}`);
  }
}

/** Within 5e-6 of the largest expected value. */
export function closeTo(got: readonly number[], expected: readonly number[], what: string): void {
  const scale = Math.max(...expected.map(Math.abs), 1e-3);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - got[i]!)), 0);
  if (!(worst <= 5e-6 * scale))
    throw new Error(
      `${what}: off by ${worst} where the largest is ${scale}:\n got      ${got.slice(0, 8).join(' ')}\n expected ${expected.slice(0, 8).join(' ')}`,
    );
}
