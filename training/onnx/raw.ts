import protobuf from 'protobufjs/light';
import { SmltError } from '../../contracts/errors';
import { onnxSchema } from './schema';

/** An ONNX file as its protobuf messages say it: what `codec.ts` reads into a graph. */
export type Int64 = number | { low: number; high: number };
export interface RawTensor {
  name?: string;
  dims?: Int64[];
  dataType?: number;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: Int64[];
  doubleData?: number[];
  dataLocation?: number;
  externalData?: RawEntry[];
}
export interface RawEntry {
  key?: string;
  value?: string;
}
export interface RawAttribute {
  name: string;
  type?: number;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: RawTensor;
  g?: RawGraph;
  floats?: number[];
  ints?: Int64[];
  strings?: Uint8Array[];
  refAttrName?: string;
}
export interface RawNode {
  opType?: string;
  domain?: string;
  overload?: string;
  name?: string;
  input?: string[];
  output?: string[];
  attribute?: RawAttribute[];
  docString?: string;
  metadataProps?: RawEntry[];
}
export interface RawValueInfo {
  name?: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim?: { dimValue?: Int64; dimParam?: string }[] } } };
}
export interface RawGraph {
  name?: string;
  node?: RawNode[];
  initializer?: RawTensor[];
  input?: RawValueInfo[];
  output?: RawValueInfo[];
  metadataProps?: RawEntry[];
}
export interface RawFunction {
  name?: string;
  domain?: string;
  overload?: string;
  input?: string[];
  output?: string[];
  attribute?: string[];
  attributeProto?: RawAttribute[];
  node?: RawNode[];
}
export interface RawModel {
  irVersion?: Int64;
  producerName?: string;
  producerVersion?: string;
  opsetImport?: { domain?: string; version?: Int64 }[];
  functions?: RawFunction[];
  graph?: RawGraph;
}

export const modelType = protobuf.Root.fromJSON(onnxSchema).lookupType('Model');
export const invalid = (message: string, cause?: unknown) => new SmltError('InvalidModel', message, cause === undefined ? undefined : { cause });

/** @throws {SmltError} `InvalidModel` when the bytes are no protobuf of an ONNX model with a graph. */
export function readModel(bytes: Uint8Array): RawModel & { graph: RawGraph } {
  const size = `${bytes.byteLength.toLocaleString('en')} bytes`;
  let raw: RawModel;
  try {
    // A plain view: protobufjs must not pick its Buffer reader, whose slices alias the file's memory.
    raw = modelType.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as unknown as RawModel;
  } catch (error) {
    throw invalid(`the ONNX model (${size}) cannot be decoded: ${(error as Error).message}; expected a file that \`onnx.checker\` accepts`, error);
  }
  const { graph } = raw;
  if (!graph?.node?.length) throw invalid(`the ONNX model (${size}) holds no graph with nodes`);
  return { ...raw, graph };
}

/** Writes messages. @returns bytes that own their memory */
export const writeModel = (raw: RawModel): Uint8Array => new Uint8Array(modelType.encode(modelType.create(raw)).finish());

/** int64 values outside ±2^62 (exporters write INT64_MAX for "to the end") are clamped there, where a double is exact. */
const CLAMP = 2 ** 62;
export const numberOf = (value: Int64): number => {
  const exact = typeof value === 'number' ? value : value.high * 2 ** 32 + (value.low >>> 0);
  return Math.max(-CLAMP, Math.min(CLAMP, exact));
};
