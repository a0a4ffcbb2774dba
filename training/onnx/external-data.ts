import type { RawModel, RawTensor } from './raw';
import { invalid, readModel, writeModel } from './raw';

/** Bytes of a file beside the model. `location` is relative, with no step out of the model's folder. */
export type ReadBeside = (location: string) => Promise<Uint8Array>;

/** Protobuf's own limit, and the size of the largest array that every host can hold in one piece. */
const MODEL_BYTES_LIMIT = 2 ** 31;

/**
 * The model with all its tensors in it: what lies in files beside it is read and put in place (ONNX "External Data").
 * @throws {SmltError} `InvalidModel` when a location leaves the model's folder, a file is too short, or all is 2 GiB or more
 */
export async function selfContained(bytes: Uint8Array, read: ReadBeside): Promise<Uint8Array> {
  checkModelBytes(bytes.byteLength);
  const raw = readModel(bytes);
  const external = tensorsOf(raw).filter(({ dataLocation }) => dataLocation === 1);
  if (external.length === 0) return bytes;
  const files = new Map<string, Uint8Array>();
  let total = bytes.byteLength;
  for (const tensor of external) {
    const entry = new Map(tensor.externalData?.map(({ key, value }) => [key, value]));
    const location = checkLocation(entry.get('location') ?? '', tensor.name ?? '');
    let file = files.get(location);
    if (!file) files.set(location, (file = await read(location)));
    const offset = Number(entry.get('offset') ?? 0);
    const length = Number(entry.get('length') ?? file.byteLength - offset);
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > file.byteLength)
      throw invalid(
        `initialiser ${tensor.name}: expected bytes ${offset} to ${offset + length} of ${location}, which has ${file.byteLength}; export the model again, and keep its files together`,
      );
    total += length;
    checkModelBytes(total);
    tensor.rawData = file.subarray(offset, offset + length);
    tensor.dataLocation = 0;
    tensor.externalData = [];
  }
  return writeModel(raw);
}

/** @throws {SmltError} `InvalidModel` for 2 GiB and more */
function checkModelBytes(total: number): void {
  if (total >= MODEL_BYTES_LIMIT)
    throw invalid(
      `the ONNX model has ${(total / 2 ** 30).toFixed(2)} GiB with its external data; expected less than 2 GiB; train a smaller model, or freeze and cut off its first layers`,
    );
}

/** Every tensor of a model, those of Constant nodes, sub-graphs and functions included. */
function tensorsOf({ graph, functions = [] }: RawModel): RawTensor[] {
  const inNodes = (nodes: NonNullable<RawModel['graph']>['node'] = []): RawTensor[] =>
    nodes.flatMap(({ attribute = [] }) => attribute.flatMap(({ t, g }) => [...(t ? [t] : []), ...(g ? inGraph(g) : [])]));
  const inGraph = ({ initializer = [], node }: NonNullable<RawModel['graph']>): RawTensor[] => [...initializer, ...inNodes(node)];
  return [...(graph ? inGraph(graph) : []), ...functions.flatMap(({ node }) => inNodes(node))];
}

/** A model names its files itself, and may come from a stranger: no name may lead out of its folder. */
function checkLocation(location: string, tensor: string): string {
  const segments = location.split('/');
  const control = [...location].some((character) => character < ' ');
  if (location === '' || control || /^[a-z]:|[\\]/i.test(location) || segments.some((segment) => segment === '' || segment === '..'))
    throw invalid(
      `initialiser ${tensor}: its data lies in ${JSON.stringify(location)}; expected a relative path inside the model's own folder; the file may not be trustworthy`,
    );
  return segments.filter((segment) => segment !== '.').join('/');
}
