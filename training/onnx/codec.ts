import protobuf from 'protobufjs/light';
import { fromBfloat16, fromFloat16 } from './half';
import type { Attribute, ElementType, Graph, Node, Tensor, TensorData, ValueInfo } from './graph';
import { elementTypeNumbers, sizeOf } from './graph';
import { withoutFunctions } from './inline-functions';
import type { RawAttribute, RawGraph, RawNode, RawTensor, RawValueInfo } from './raw';
import { invalid, modelType, numberOf, readModel } from './raw';

/**
 * Bytes to graph and back.
 * 1. A decoded tensor owns its memory: it never aliases the file.
 * 2. Calls of model-local functions are replaced by their nodes.
 * 3. Halves (float16, bfloat16) are read as float32, which holds each of their values exactly.
 */
const elementTypes = new Map<number, ElementType>(Object.entries(elementTypeNumbers).map(([name, number]) => [number, name as ElementType]));
const halves = new Map([
  [10, { name: 'float16', read: fromFloat16 }],
  [16, { name: 'bfloat16', read: fromBfloat16 }],
] as const);
const typeOf = (number: number): ElementType | undefined => (halves.has(number as 10) ? 'float32' : elementTypes.get(number));
const IR_VERSION = 9;

/** @throws {SmltError} `InvalidModel` when the bytes are no ONNX model that smlt can read. */
export function decodeModel(bytes: Uint8Array): Graph {
  const raw = withoutFunctions(readModel(bytes));
  const opset = raw.opsetImport?.find(({ domain }) => !domain || domain === 'ai.onnx')?.version;
  if (opset === undefined) throw invalid('the ONNX model imports no operator set of the domain ai.onnx');
  const { name = '', node = [], initializer = [], input = [], output = [], metadataProps = [] } = raw.graph;
  const initializers = new Map(initializer.map((tensor) => [tensor.name ?? '', decodeTensor(tensor, `initialiser ${tensor.name}`)]));
  return {
    name,
    opset: numberOf(opset),
    nodes: node.map(decodeNode),
    initializers,
    inputs: input.map(decodeValueInfo).filter((value) => !initializers.has(value.name)),
    outputs: output.map(decodeValueInfo),
    metadata: Object.fromEntries(metadataProps.map(({ key = '', value = '' }) => [key, value])),
    producer: [raw.producerName, raw.producerVersion].filter(Boolean).join(' '),
  };
}

function decodeTensor(raw: RawTensor, what: string): Tensor {
  const type = typeOf(raw.dataType ?? 0);
  if (!type)
    throw invalid(
      `${what}: element type number ${raw.dataType}, expected one of ${Object.keys(elementTypeNumbers).join(', ')}, float16, bfloat16; export in float32`,
    );
  if (raw.dataLocation) throw invalid(`${what}: its data lies in another file; expected that file beside the model`);
  const shape = (raw.dims ?? []).map(numberOf);
  const half = halves.get(raw.dataType as 10);
  const data = half ? Float32Array.from(halfBits(raw, what), half.read) : decodeData(raw, type, what);
  if (data.length !== sizeOf(shape)) throw invalid(`${what}: expected ${sizeOf(shape)} elements for shape [${shape.join(', ')}], got ${data.length}`);
  return { type, shape, data, ...(half && { storedAs: half.name }) };
}

function halfBits({ rawData, int32Data = [] }: RawTensor, what: string): ArrayLike<number> {
  if (!rawData?.length) return int32Data;
  if (rawData.length % 2 !== 0) throw invalid(`${what}: ${rawData.length} bytes are no whole number of halves`);
  return new Uint16Array(new Uint8Array(rawData).buffer);
}

function decodeData(raw: RawTensor, type: ElementType, what: string): TensorData {
  if (raw.rawData?.length) {
    const copy = new Uint8Array(raw.rawData).buffer;
    const width = { float32: 4, int32: 4, int64: 8, float64: 8, uint8: 1, int8: 1, bool: 1 }[type];
    if (copy.byteLength % width !== 0) throw invalid(`${what}: ${copy.byteLength} bytes are no whole number of ${type} elements`);
    switch (type) {
      case 'float32':
        return new Float32Array(copy);
      case 'float64':
        return new Float64Array(copy);
      case 'int32':
        return new Int32Array(copy);
      case 'int64':
        return new BigInt64Array(copy);
      case 'int8':
        return new Int8Array(copy);
      case 'uint8':
      case 'bool':
        return new Uint8Array(copy);
    }
  }
  switch (type) {
    case 'float32':
      return Float32Array.from(raw.floatData ?? []);
    case 'float64':
      return Float64Array.from(raw.doubleData ?? []);
    case 'int64':
      return BigInt64Array.from((raw.int64Data ?? []).map((value) => BigInt(numberOf(value))));
    case 'int32':
      return Int32Array.from(raw.int32Data ?? []);
    case 'int8':
      return Int8Array.from(raw.int32Data ?? []);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(raw.int32Data ?? []);
  }
}

function decodeNode(raw: RawNode, index: number): Node {
  const op = raw.opType ?? '';
  const name = raw.name || `${op}#${index}`;
  const source = sourceOf(raw);
  const paddingIndex = op === 'Gather' ? paddingIndexOf(raw) : undefined;
  return {
    op,
    domain: raw.domain === 'ai.onnx' ? '' : (raw.domain ?? ''),
    name,
    inputs: raw.input ?? [],
    outputs: raw.output ?? [],
    attributes: Object.fromEntries((raw.attribute ?? []).map((attribute) => [attribute.name, decodeAttribute(attribute, `node ${name}`)])),
    ...(source !== undefined && { source }),
    ...(paddingIndex !== undefined && { paddingIndex }),
  };
}

/**
 * The user's line that made a node. torch.export keeps a stack trace, the user's own frame first; the older exporter
 * writes `# file:line:column` into the doc string when asked to (verbose).
 */
function sourceOf({ docString = '', metadataProps = [] }: RawNode): string | undefined {
  const trace = metadataProps.find(({ key }) => key === 'pkg.torch.onnx.stack_trace')?.value ?? docString;
  const frame = /File "([^"]+)", line (\d+)[^\n]*(?:\n\s*([^\n]+))?/.exec(trace);
  if (frame) return `${frame[1]}:${frame[2]}${frame[3] === undefined ? '' : `: ${frame[3].trim()}`}`;
  return /# (\S+:\d+)(?::\d+)?/.exec(trace)?.[1];
}

/** torch.export keeps the call that a node stands for: `aten.embedding.default(args = (%weight, %ids, 0), kwargs = {})`. */
function paddingIndexOf({ metadataProps = [] }: RawNode): number | undefined {
  const call = metadataProps.find(({ key }) => key === 'pkg.torch.onnx.fx_node')?.value ?? '';
  const index = /aten\.embedding\.default\]?\(args = \(%[^,]+, %[^,]+, (\d+)/.exec(call)?.[1];
  return index === undefined ? undefined : Number(index);
}

const utf8 = (bytes: Uint8Array | undefined): string => protobuf.util.utf8.read(bytes ?? new Uint8Array(), 0, bytes?.length ?? 0);

function decodeAttribute(raw: RawAttribute, what: string): Attribute {
  switch (raw.type) {
    case 1:
      return { kind: 'float', value: raw.f ?? 0 };
    case 2:
      return { kind: 'int', value: numberOf(raw.i ?? 0) };
    case 3:
      return { kind: 'string', value: utf8(raw.s) };
    case 4:
      return { kind: 'tensor', value: decodeTensor(raw.t ?? {}, `${what}, attribute ${raw.name}`) };
    case 6:
      return { kind: 'floats', value: raw.floats ?? [] };
    case 7:
      return { kind: 'ints', value: (raw.ints ?? []).map(numberOf) };
    case 8:
      return { kind: 'strings', value: (raw.strings ?? []).map(utf8) };
    case 5:
      return { kind: 'graph', value: decodeGraph(raw.g ?? {}) };
    default:
      return { kind: 'other' };
  }
}

function decodeValueInfo(raw: RawValueInfo): ValueInfo {
  const name = raw.name ?? '';
  const tensor = raw.type?.tensorType;
  const type = typeOf(tensor?.elemType ?? 1);
  if (!type) throw invalid(`value ${name}: element type number ${tensor?.elemType}, expected one of ${Object.keys(elementTypeNumbers).join(', ')}`);
  const shape = tensor?.shape
    ? (tensor.shape.dim ?? []).map(
        (dim, axis) => dim.dimParam || (dim.dimValue === undefined ? `axis${axis}` : numberOf(dim.dimValue) || `axis${axis}`),
      )
    : undefined;
  return { name, type, shape };
}

/** A sub-graph: its operator set is the model's, and it may read the values of the graph around it. */
function decodeGraph(raw: RawGraph): Graph {
  return {
    name: raw.name ?? '',
    opset: 0,
    nodes: (raw.node ?? []).map(decodeNode),
    initializers: new Map((raw.initializer ?? []).map((tensor) => [tensor.name ?? '', decodeTensor(tensor, `initialiser ${tensor.name}`)])),
    inputs: (raw.input ?? []).map(decodeValueInfo),
    outputs: (raw.output ?? []).map(decodeValueInfo),
  };
}

/**
 * Writes a model file. Tensors are written raw, little-endian.
 * @param untyped  outputs before the graph's own whose type is not said: the reader infers it
 */
export function encodeModel(graph: Graph, untyped: readonly string[] = []): Uint8Array {
  const body = encodeGraph(graph);
  const message = modelType.create({
    irVersion: graph.opset > 20 ? 10 : IR_VERSION,
    producerName: 'smlt',
    opsetImport: [{ domain: '', version: graph.opset }, ...otherDomains(graph).map((domain) => ({ domain, version: 1 }))],
    graph: { ...body, output: [...untyped.map((name) => ({ name })), ...(body.output ?? [])] },
  });
  // Without its own copy the bytes would keep protobufjs's pooled memory alive.
  return new Uint8Array(modelType.encode(message).finish());
}

/** Domains of operators that are not ONNX's own; smlt writes only such as have one version. */
const otherDomains = ({ nodes }: Graph): string[] => [...new Set(nodes.map(({ domain }) => domain))].filter((domain) => domain !== '');

function encodeGraph(graph: Graph): RawGraph {
  return {
    name: graph.name,
    node: graph.nodes.map((node) => ({
      opType: node.op,
      domain: node.domain,
      name: node.name,
      input: [...node.inputs],
      output: [...node.outputs],
      attribute: Object.entries(node.attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
    })),
    initializer: [...graph.initializers].map(([name, tensor]) => encodeTensor(name, tensor)),
    input: graph.inputs.map(encodeValueInfo),
    output: graph.outputs.map(encodeValueInfo),
  };
}

function encodeTensor(name: string, { type, shape, data }: Tensor) {
  return { name, dims: [...shape], dataType: elementTypeNumbers[type], rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

function bytesOf(value: string): Uint8Array {
  const bytes = new Uint8Array(protobuf.util.utf8.length(value));
  protobuf.util.utf8.write(value, bytes, 0);
  return bytes;
}

function encodeAttribute(name: string, attribute: Attribute): RawAttribute {
  switch (attribute.kind) {
    case 'float':
      return { name, type: 1, f: attribute.value };
    case 'int':
      return { name, type: 2, i: attribute.value };
    case 'string':
      return { name, type: 3, s: bytesOf(attribute.value) };
    case 'tensor':
      return { name, type: 4, t: encodeTensor('', attribute.value) };
    case 'floats':
      return { name, type: 6, floats: [...attribute.value] };
    case 'ints':
      return { name, type: 7, ints: [...attribute.value] };
    case 'strings':
      return { name, type: 8, strings: attribute.value.map(bytesOf) };
    case 'graph':
      return { name, type: 5, g: encodeGraph(attribute.value) };
    case 'other':
      throw invalid(`attribute ${name} has a kind that smlt does not write`);
  }
}

function encodeValueInfo({ name, type, shape }: ValueInfo) {
  const tensorType = {
    elemType: elementTypeNumbers[type],
    ...(shape && { shape: { dim: shape.map((axis) => (typeof axis === 'string' ? { dimParam: axis } : { dimValue: axis })) } }),
  };
  return { name, type: { tensorType } };
}
