/** @jest-environment ./test/support/native-arrays.ts */
import * as ort from 'onnxruntime-node';
import { differentiate } from '../../training/differentiate';
import { fixBatch } from '../../training/fix-batch';
import { decodeModel, encodeModel } from '../../training/onnx/codec';
import type { Attributes, Graph, Node, Tensor } from '../../training/onnx/graph';
import { floatTensor, int, intTensor } from '../../training/onnx/graph';
import { closeTo, valuesFor } from './derivatives/harness';

jest.setTimeout(30_000);

const node = (op: string, inputs: string[], outputs: string[], attributes: Attributes = {}): Node => ({
  op,
  domain: '',
  name: `${op}:${outputs[0]}`,
  inputs,
  outputs,
  attributes,
});
const graph = (nodes: Node[], initializers: Record<string, Tensor> = {}, inputs: string[] = [], outputs: string[] = ['y']): Graph => ({
  name: 'g',
  opset: 20,
  nodes,
  initializers: new Map(Object.entries(initializers)),
  inputs: inputs.map((name) => ({ name, type: 'float32', shape: undefined })),
  outputs: outputs.map((name) => ({ name, type: 'float32', shape: undefined })),
});
const body = (nodes: Node[], inputs: string[], outputs: string[], initializers: Record<string, Tensor> = {}): Attributes[string] => ({
  kind: 'graph',
  value: graph(nodes, initializers, inputs, outputs),
});

const X = floatTensor([4, 3], valuesFor([4, 3], [-1, 1], 1));
const W = floatTensor([3, 3], valuesFor([3, 3], [-1, 1], 2));
const one = intTensor([], [1]);

/** y and the gradients of Σ y w in X and W, through an encoded and decoded file. */
async function gradientsOf(model: Graph): Promise<number[][]> {
  const withWeights = { ...model, initializers: new Map([...model.initializers, ['X', X], ['W', W]]) };
  const fixed = fixBatch(decodeModel(encodeModel(withWeights)), [], new Set(['X', 'W']));
  const y = fixed.valueOf('y');
  const dY = fixed.g.constant(floatTensor(y.shape, valuesFor(y.shape, [-1, 1], 3)));
  const gradients = differentiate(fixed, ['X', 'W'], y, dY);
  const outputs = [y, gradients.get('X')!, gradients.get('W')!];
  const session = await ort.InferenceSession.create(encodeModel(fixed.g.graph('g', [fixed.valueOf('X'), fixed.valueOf('W')], outputs)), {
    logSeverityLevel: 3,
  });
  const results = await session.run({
    X: new ort.Tensor('float32', X.data as Float32Array, X.shape),
    W: new ort.Tensor('float32', W.data as Float32Array, W.shape),
  });
  return outputs.map(({ name }) => Array.from(results[name]!.data as Float32Array));
}

async function same(model: Graph, plain: Graph): Promise<void> {
  const [got, expected] = [await gradientsOf(model), await gradientsOf(plain)];
  got.forEach((values, i) => closeTo(values, expected[i]!, ['y', 'dX', 'dW'][i]!));
}

const tanhStep = (h: string, to: string): Node[] => [node('MatMul', [h, 'W'], [`${to}m`]), node('Tanh', [`${to}m`], [to])];

describe('control flow that is known with the batch', () => {
  it('unrolls a Loop, its carried value and what it collects', async () => {
    const loop = node('Loop', ['trips', '', 'X'], ['h', 'all'], {
      body: body(
        [node('Identity', ['go'], ['goes']), ...tanhStep('before', 'after'), node('Neg', ['after'], ['row'])],
        ['i', 'go', 'before'],
        ['goes', 'after', 'row'],
      ),
    });
    const ending = [node('ReduceSum', ['all', 'axis'], ['sum'], { keepdims: int(0) }), node('Add', ['h', 'sum'], ['y'])];
    await same(
      graph([loop, ...ending], { trips: intTensor([], [3]), axis: intTensor([1], [0]) }),
      graph([
        ...['X', 'a', 'b'].flatMap((from, i) => tanhStep(from, ['a', 'b', 'c'][i]!)),
        node('Sum', ['a', 'b', 'c'], ['sum']),
        node('Sub', ['c', 'sum'], ['y']),
      ]),
    );
  });

  it('leaves a Loop when its own condition says so', async () => {
    const loop = node('Loop', ['', 'go', 'X'], ['y'], {
      body: body([node('Less', ['i', 'one'], ['goes']), ...tanhStep('before', 'after')], ['i', 'go', 'before'], ['goes', 'after']),
    });
    const truth: Tensor = { type: 'bool', shape: [], data: Uint8Array.of(1) };
    await same(graph([loop], { go: truth, one }), graph([...tanhStep('X', 'a'), ...tanhStep('a', 'y')]));
  });

  it('unrolls a Scan in both directions', async () => {
    const scan = node('Scan', ['h0', 'X'], ['h', 'all'], {
      num_scan_inputs: int(1),
      scan_input_directions: { kind: 'ints', value: [1] },
      scan_output_directions: { kind: 'ints', value: [1] },
      body: body([node('MatMul', ['h', 'W'], ['m']), node('Add', ['m', 'x'], ['s']), node('Tanh', ['s'], ['next'])], ['h', 'x'], ['next', 'next']),
    });
    const rows = [3, 2, 1, 0];
    const plain = rows.flatMap((row, i) => [
      node('Gather', ['X', `row${row}`], [`x${i}`]),
      node('MatMul', [i === 0 ? 'h0' : `h${i}`, 'W'], [`m${i}`]),
      node('Add', [`m${i}`, `x${i}`], [`s${i}`]),
      node('Tanh', [`s${i}`], [`h${i + 1}`]),
      node('Unsqueeze', [`h${i + 1}`, 'zero'], [`r${i}`]),
    ]);
    const h0 = { h0: floatTensor([3], [0.1, -0.2, 0.3]) };
    await same(
      graph([scan, node('Mul', ['all', 'h'], ['y'])], h0),
      graph([...plain, node('Concat', ['r3', 'r2', 'r1', 'r0'], ['all'], { axis: int(0) }), node('Mul', ['all', 'h4'], ['y'])], {
        ...h0,
        zero: intTensor([1], [0]),
        ...Object.fromEntries(rows.map((row) => [`row${row}`, intTensor([], [row])])),
      }),
    );
  });

  it('takes the branch of an If that shapes decide, with values from around it', async () => {
    const branches = {
      then_branch: body([node('MatMul', ['X', 'W'], ['t'])], [], ['t']),
      else_branch: body([node('Neg', ['X'], ['e'])], [], ['e']),
    };
    const shaped = [node('Shape', ['X'], ['shape']), node('Gather', ['shape', 'one'], ['width']), node('Greater', ['width', 'one'], ['wide'])];
    await same(graph([...shaped, node('If', ['wide'], ['y'], branches)], { one }), graph([node('MatMul', ['X', 'W'], ['y'])]));
  });

  it('refuses an If that samples decide, naming its node', async () => {
    const branches = { then_branch: body([node('Neg', ['X'], ['t'])], [], ['t']), else_branch: body([node('Abs', ['X'], ['e'])], [], ['e']) };
    const sampled = [node('ReduceSum', ['X'], ['sum'], { keepdims: int(0) }), node('Greater', ['sum', 'zero'], ['c'])];
    const model = graph([...sampled, node('If', ['c'], ['y'], branches)], { zero: floatTensor([], [0]) });
    await expect(gradientsOf(model)).rejects.toThrow("operator If of node 'If:y': its condition is computed from the samples");
  });
});

describe('sequences', () => {
  it('are parts of a split, put together again in another order', async () => {
    await same(
      graph(
        [
          node('SplitToSequence', ['X', 'size'], ['parts'], { axis: int(1) }),
          node('SequenceAt', ['parts', 'last'], ['narrow']),
          node('SequenceErase', ['parts', 'last'], ['rest']),
          node('SequenceInsert', ['rest', 'narrow', 'zero'], ['turned']),
          node('ConcatFromSequence', ['turned'], ['Z'], { axis: int(1) }),
          node('MatMul', ['Z', 'W'], ['y']),
        ],
        { size: intTensor([], [2]), last: intTensor([], [-1]), zero: intTensor([], [0]) },
      ),
      graph([node('Gather', ['X', 'order'], ['Z'], { axis: int(1) }), node('MatMul', ['Z', 'W'], ['y'])], { order: intTensor([3], [2, 0, 1]) }),
    );
  });

  it('are rows without their axis, stacked along another', async () => {
    await same(
      graph([
        node('SplitToSequence', ['X'], ['rows'], { axis: int(0), keepdims: int(0) }),
        node('ConcatFromSequence', ['rows'], ['Z'], { axis: int(1), new_axis: int(1) }),
        node('MatMul', ['W', 'Z'], ['y']),
      ]),
      graph([node('Transpose', ['X'], ['Z'], { perm: { kind: 'ints', value: [1, 0] } }), node('MatMul', ['W', 'Z'], ['y'])]),
    );
  });

  it('grow in a loop and are measured', async () => {
    await same(
      graph(
        [
          node('SequenceEmpty', [], ['none']),
          node('SequenceInsert', ['none', 'X'], ['single']),
          node('SequenceConstruct', ['X', 'X'], ['pair']),
          node('SequenceLength', ['pair'], ['two']),
          node('Cast', ['two'], ['factor'], { to: int(1) }),
          node('ConcatFromSequence', ['single'], ['Z'], { axis: int(0) }),
          node('MatMul', ['Z', 'W'], ['m']),
          node('Mul', ['m', 'factor'], ['y']),
        ],
        {},
      ),
      graph([node('MatMul', ['X', 'W'], ['m']), node('Add', ['m', 'm'], ['y'])]),
    );
  });
});

describe('an operator without a rule', () => {
  it('is refused with its node, the line of code that made it, and what to do', () => {
    const unknown = { ...node('Det', ['X'], ['y']), source: 'net.py:12: return torch.det(x)' };
    expect(() => fixBatch(graph([unknown], { X: floatTensor([2, 2], [1, 2, 3, 4]) }), [], new Set(['X']))).toThrow(
      /operator Det of node 'Det:y' \(net\.py:12: return torch\.det\(x\)\) has no derivative rule; .*Python function/,
    );
  });
});
