import { SmltError } from '../../contracts/errors';
import type { Graph, Node, ValueInfo } from '../onnx/graph';
import { elementTypeNumbers, int, intTensor, sizeOf } from '../onnx/graph';
import { show } from '../shapes';

/** A named part of a sample. Samples are rows of float32 numbers; a feature is a stretch of the row. */
export interface Feature {
  readonly name: string;
  /** Without the sample axis; `[]` is one number. */
  readonly shape: readonly number[];
}

/** Where a graph's inputs come from. */
export interface FeatureBinding {
  /** One sample's row, as one tensor. */
  readonly featureShape: readonly number[];
  /** How the row falls into named features; left out: it is one, called `x`. */
  readonly features?: readonly Feature[] | undefined;
  /** Feature by graph input, where their names differ. */
  readonly inputs?: Readonly<Record<string, string>> | undefined;
}

/**
 * The graph with one input of float rows `[N, ...featureShape]`: each of its own inputs is cut out of the row, shaped and
 * cast (whole numbers below 2^24 are exact in float32). An only input that is such a row already stays as it is.
 * @throws {SmltError} `InvalidSpec` when inputs and features do not fit
 */
export function bindFeatures(graph: Graph, { featureShape, features, inputs = {} }: FeatureBinding): Graph {
  const known = graph.inputs.map(({ name }) => name);
  const stranger = Object.keys(inputs).find((name) => !known.includes(name));
  if (stranger !== undefined)
    throw new SmltError('InvalidSpec', `model.inputs: the model has no input '${stranger}'; expected some of ${known.join(', ') || 'none'}`);
  if (known.length === 0) throw new SmltError('InvalidModel', 'the ONNX model has no inputs; expected at least one for the samples');
  const row = features ?? [{ name: 'x', shape: featureShape }];
  const bound = graph.inputs.map((input) => ({ input, ...featureOf(input, row, inputs, graph.inputs.length === 1) }));
  const [only] = bound;
  if (only && bound.length === 1 && row.length === 1 && only.input.type === 'float32')
    return { ...graph, inputs: [{ ...only.input, shape: ['N', ...featureShape] }] };

  const taken = new Set([...known, ...graph.initializers.keys(), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  let source = 'features';
  while (taken.has(source)) source = `_${source}`;
  const initializers = new Map(graph.initializers);
  const constant = (name: string, values: readonly number[]): string => {
    initializers.set(name, intTensor([values.length], values));
    return name;
  };
  const nodes = bound.flatMap(({ input, feature, start }): Node[] => {
    const made = (step: string) => `smlt.bind/${input.name}/${step}`;
    const node = (op: string, from: readonly string[], output: string, attributes: Node['attributes'] = {}): Node => ({
      op,
      domain: '',
      name: `smlt.bind/${input.name}/${op}`,
      inputs: from,
      outputs: [output],
      attributes,
    });
    const end = start + sizeOf(feature.shape);
    const cast = input.type !== 'float32';
    const cut = row.length > 1;
    const shaped = cast ? made('shaped') : input.name;
    const steps: Node[] = [];
    if (cut)
      steps.push(node('Slice', [source, constant(made('start'), [start]), constant(made('end'), [end]), constant(made('axis'), [1])], made('cut')));
    const target = constant(made('shape'), [-1, ...feature.shape]);
    steps.push(node('Reshape', [cut ? made('cut') : source, target], shaped));
    if (cast) steps.push(node('Cast', [shaped], input.name, { to: int(elementTypeNumbers[input.type]) }));
    return steps;
  });
  const rowInput: ValueInfo = {
    name: source,
    type: 'float32',
    shape: ['N', ...(row.length > 1 ? [row.reduce((sum, { shape }) => sum + sizeOf(shape), 0)] : featureShape)],
  };
  return { ...graph, nodes: [...nodes, ...graph.nodes], initializers, inputs: [rowInput] };
}

function featureOf(input: ValueInfo, row: readonly Feature[], inputs: Readonly<Record<string, string>>, single: boolean) {
  const named = inputs[input.name];
  const index = single && row.length === 1 && named === undefined ? 0 : row.findIndex(({ name }) => name === (named ?? input.name));
  const feature = row[index];
  if (!feature)
    throw new SmltError(
      'InvalidSpec',
      `the model's input '${input.name}' needs a feature of the data set, which has ${row.map(({ name }) => name).join(', ')}; say which with model.inputs: { "${input.name}": "..." }, or pack the data set with it`,
    );
  checkShape(input, feature);
  return { feature, start: row.slice(0, index).reduce((sum, { shape }) => sum + sizeOf(shape), 0) };
}

function checkShape(input: ValueInfo, feature: Feature): void {
  const own = input.shape?.slice(1) ?? feature.shape;
  const fits = own.length === feature.shape.length && own.every((axis, i) => typeof axis === 'string' || axis === feature.shape[i]);
  if (!fits || input.shape?.length === 0)
    throw new SmltError(
      'InvalidSpec',
      `the model's input '${input.name}' has shape ${show(input.shape ?? [])}; the data set's feature '${feature.name}' is ${show(['N', ...feature.shape])}`,
    );
}
