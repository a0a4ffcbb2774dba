import protobuf from 'protobufjs/light';
import { SmltError } from '../../contracts/errors';
import { onnxSchema } from './schema';
import type { Attribute, ElementType, Graph, Node, Tensor, TensorData, ValueInfo } from './graph';
import { elementTypeNumbers, sizeOf } from './graph';

/**
 * Bytes to graph and back.
 * 1. A decoded tensor owns its memory: it never aliases the file.
 * 2. int64 values outside ±2^62 (exporters write INT64_MAX for "to the end") are clamped there, where a double is exact.
 */
const modelType = protobuf.Root.fromJSON(onnxSchema).lookupType('Model');
const elementTypes = new Map<number, ElementType>(Object.entries(elementTypeNumbers).map(([name, number]) => [number, name as ElementType]));
const IR_VERSION = 9;
const CLAMP = 2 ** 62;

type Int64 = number | { low: number; high: number };
interface RawTensor {
  name?: string;
  dims?: Int64[];
  dataType?: number;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: Int64[];
  doubleData?: number[];
  dataLocation?: number;
}
interface RawAttribute {
  name: string;
  type?: number;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: RawTensor;
  floats?: number[];
  ints?: Int64[];
  strings?: Uint8Array[];
  refAttrName?: string;
}
interface RawNode {
  opType?: string;
  domain?: string;
  name?: string;
  input?: string[];
  output?: string[];
  attribute?: RawAttribute[];
}
interface RawValueInfo {
  name?: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim?: { dimValue?: Int64; dimParam?: string }[] } } };
}
interface RawModel {
  irVersion?: Int64;
  opsetImport?: { domain?: string; version?: Int64 }[];
  functions?: { name?: string }[];
  graph?: { name?: string; node?: RawNode[]; initializer?: RawTensor[]; input?: RawValueInfo[]; output?: RawValueInfo[] };
}

const invalid = (message: string, cause?: unknown) => new SmltError('InvalidModel', message, cause === undefined ? undefined : { cause });

const numberOf = (value: Int64): number => {
  const exact = typeof value === 'number' ? value : value.high * 2 ** 32 + (value.low >>> 0);
  return Math.max(-CLAMP, Math.min(CLAMP, exact));
};

/** @throws {SmltError} `InvalidModel` when the bytes are no ONNX model that smlt can read. */
export function decodeModel(bytes: Uint8Array): Graph {
  let raw: RawModel;
  try {
    // A plain view: protobufjs must not pick its Buffer reader, whose slices alias the file's memory.
    raw = modelType.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as unknown as RawModel;
  } catch (error) {
    throw invalid(`the ONNX model (${bytes.byteLength.toLocaleString('en')} bytes) cannot be decoded: ${(error as Error).message}`, error);
  }
  if (!raw.graph?.node?.length) throw invalid(`the ONNX model (${bytes.byteLength.toLocaleString('en')} bytes) holds no graph with nodes`);
  const opset = raw.opsetImport?.find(({ domain }) => !domain || domain === 'ai.onnx')?.version;
  if (opset === undefined) throw invalid('the ONNX model imports no operator set of the domain ai.onnx');
  if (raw.functions?.length) throw invalid(`the ONNX model defines local functions (${raw.functions[0]?.name}); export it with functions inlined`);
  const { name = '', node, initializer = [], input = [], output = [] } = raw.graph;
  const initializers = new Map(initializer.map((tensor) => [tensor.name ?? '', decodeTensor(tensor, `initialiser ${tensor.name}`)]));
  return {
    name,
    opset: numberOf(opset),
    nodes: node.map(decodeNode),
    initializers,
    inputs: input.map(decodeValueInfo).filter((value) => !initializers.has(value.name)),
    outputs: output.map(decodeValueInfo),
  };
}

function decodeTensor(raw: RawTensor, what: string): Tensor {
  const type = elementTypes.get(raw.dataType ?? 0);
  if (!type)
    throw invalid(`${what}: element type number ${raw.dataType}, expected one of ${Object.keys(elementTypeNumbers).join(', ')}; export in float32`);
  if (raw.dataLocation) throw invalid(`${what}: its data lies in another file; export the model as one file`);
  const shape = (raw.dims ?? []).map(numberOf);
  const data = decodeData(raw, type, what);
  if (data.length !== sizeOf(shape)) throw invalid(`${what}: expected ${sizeOf(shape)} elements for shape [${shape.join(', ')}], got ${data.length}`);
  return { type, shape, data };
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
  return {
    op,
    domain: raw.domain === 'ai.onnx' ? '' : (raw.domain ?? ''),
    name,
    inputs: raw.input ?? [],
    outputs: raw.output ?? [],
    attributes: Object.fromEntries((raw.attribute ?? []).map((attribute) => [attribute.name, decodeAttribute(attribute, `node ${name}`)])),
  };
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
    default:
      return { kind: 'other' };
  }
}

function decodeValueInfo(raw: RawValueInfo): ValueInfo {
  const name = raw.name ?? '';
  const tensor = raw.type?.tensorType;
  const type = elementTypes.get(tensor?.elemType ?? 1);
  if (!type) throw invalid(`value ${name}: element type number ${tensor?.elemType}, expected one of ${Object.keys(elementTypeNumbers).join(', ')}`);
  const shape = tensor?.shape
    ? (tensor.shape.dim ?? []).map(
        (dim, axis) => dim.dimParam || (dim.dimValue === undefined ? `axis${axis}` : numberOf(dim.dimValue) || `axis${axis}`),
      )
    : undefined;
  return { name, type, shape };
}

/** Writes a model file. Tensors are written raw, little-endian. */
export function encodeModel(graph: Graph): Uint8Array {
  const message = modelType.create({
    irVersion: graph.opset > 20 ? 10 : IR_VERSION,
    producerName: 'smlt',
    opsetImport: [{ domain: '', version: graph.opset }],
    graph: {
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
    },
  });
  // Without its own copy the bytes would keep protobufjs's pooled memory alive.
  return new Uint8Array(modelType.encode(message).finish());
}

function encodeTensor(name: string, { type, shape, data }: Tensor) {
  return { name, dims: [...shape], dataType: elementTypeNumbers[type], rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

function bytesOf(value: string): Uint8Array {
  const bytes = new Uint8Array(protobuf.util.utf8.length(value));
  protobuf.util.utf8.write(value, bytes, 0);
  return bytes;
}

function encodeAttribute(name: string, attribute: Attribute) {
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
