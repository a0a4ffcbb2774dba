import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspectModel } from '../../training/import/inspect';
import { decodeModel, encodeModel } from '../../training/onnx/codec';

const model = (name: string) => readFileSync(join(__dirname, 'fixtures/onnx', `${name}.onnx`));

describe('the inspection of a model', () => {
  it('tells parameters, running statistics and buffers apart, with their counts', () => {
    const found = inspectModel(model('mixed'), 4);
    const roles = Object.fromEntries(found.initializers.map(({ name, role }) => [name, role]));
    expect(roles).toMatchObject({ 'emb.weight': 'parameter', mask: 'buffer', 'bn.running_mean': 'statistic', 'bn.weight': 'parameter' });
    expect(found.trainedElements).toBe(88 + 64 + 8 + 16 + 16 + 24 + 3);
    expect(found.operators).toMatchObject({ Gather: 1, BatchNormalization: 1 });
    expect(found.problem).toBeUndefined();
    expect(found.peakMemoryMib).toBeGreaterThan(0);
  });
  it('notices inference mode, a fixed batch and several outputs, and is content with a good export', () => {
    expect(inspectModel(model('mixed'), 4).doubts.join('\n')).toMatch(/inference mode[^]*fixed batch of 4[^]*2 outputs/);
    expect(inspectModel(model('segment'), 4).doubts).toEqual([]);
  });
  it('notices merged and renamed tensors', () => {
    const graph = decodeModel(model('segment'));
    const rename = (name: string) => (name === 'a.weight' ? 'onnx::Conv_7' : name);
    const changed = encodeModel({
      ...graph,
      nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename) })),
      initializers: new Map([...graph.initializers].map(([name, tensor]) => [rename(name), tensor])),
    });
    expect(inspectModel(changed, 2).doubts.join('\n')).toMatch(/onnx::Conv_7: weights that the exporter has transposed[^]*BatchNormalization folded/);
  });
  it('says which operator cannot train, and still lists the rest', () => {
    const graph = decodeModel(model('segment'));
    const changed = encodeModel({ ...graph, nodes: graph.nodes.map((node) => (node.op === 'Relu' ? { ...node, op: 'Nonsense' } : node)) });
    const found = inspectModel(changed, 2);
    expect(found.problem).toMatchObject({ code: 'UnsupportedOperator', message: expect.stringMatching(/Nonsense/) });
    expect(found.initializers.length).toBe(4);
  });
});
