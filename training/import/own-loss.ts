import { SmltError } from '../../contracts/errors';
import { pruned } from '../graph-writer';
import { targetInput, type Target } from '../losses/target';
import type { Graph, Node, ValueInfo } from '../onnx/graph';
import { dataOf, elementTypeNumbers, int, intTensor, sizeOf } from '../onnx/graph';
import { show } from '../shapes';
import { graphNames } from '../training-form';
import type { FeatureBinding } from './features';

/** What `model.inputs` calls the data set's targets. */
export const TARGETS = 'targets';

/** A graph that computes its own loss, put into the form that the rest takes. */
export interface OwnLoss {
  /** Outputs: the loss, then what predicts, if anything does. The targets are no input of it any more. */
  readonly graph: Graph;
  /** Of the targets, where the graph takes them. */
  readonly targets: ValueInfo | undefined;
}

/**
 * Finds the loss among the outputs and the targets among the inputs: the input that `model.inputs` maps to `targets`, or
 * the only one that no feature fills.
 * @throws {SmltError} `InvalidSpec`, saying which output or input does not fit
 */
export function ownLossOf(graph: Graph, { features, inputs = {} }: Pick<FeatureBinding, 'features' | 'inputs'>, target: Target): OwnLoss {
  const loss = graph.outputs.find(
    ({ shape }) => shape !== undefined && sizeOf(shape.map(Number)) === 1 && !shape.some((axis) => typeof axis === 'string'),
  );
  if (!loss)
    throw new SmltError(
      'InvalidSpec',
      `loss program: the model's outputs are ${graph.outputs.map(({ name, shape = [] }) => `'${name}' ${show(shape)}`).join(', ')}; expected one of a single number, its own loss`,
    );
  const filled = new Set((features ?? [{ name: 'x' }]).map(({ name }) => name));
  const unfilled = graph.inputs.filter(({ name }) => !filled.has(inputs[name] ?? name));
  const mapped = unfilled.filter(({ name }) => inputs[name] === TARGETS);
  const [input, ...more] = mapped.length > 0 ? mapped : unfilled;
  if (more.length > 0)
    throw new SmltError(
      'InvalidSpec',
      `loss program: the model's inputs ${unfilled.map(({ name }) => `'${name}'`).join(', ')} need features or targets; say which with model.inputs: { "${input?.name}": "${TARGETS}" }`,
    );
  const own = input ? withTargets(graph, input, target) : graph;
  const prediction = own.outputs.find((output) => output !== loss && output.shape?.length !== 0 && !dependsOn(own, output.name, graphNames.targets));
  return {
    graph: { ...own, outputs: [loss, ...(prediction ? [prediction] : [])] },
    targets: input && { name: graphNames.targets, ...targetInput(target, 1) },
  };
}

/** The input is made of the data set's targets: cast, and shaped where it has an axis of its own. */
function withTargets(graph: Graph, input: ValueInfo, target: Target): Graph {
  const inner = (input.shape ?? []).slice(1);
  const width = target.kind === 'class' ? 1 : target.width;
  const known = inner.filter((axis) => typeof axis === 'number');
  if (known.length === inner.length && sizeOf(known) !== width)
    throw new SmltError(
      'InvalidSpec',
      `loss program: the model's input '${input.name}' is ${show(input.shape ?? [])}; the data set has ${width} target value(s) a sample`,
    );
  const shape = `smlt.bind/${input.name}/shape`;
  const shaped = `smlt.bind/${input.name}/shaped`;
  const node = (op: string, inputs: readonly string[], output: string, attributes: Node['attributes'] = {}): Node => ({
    ...{ op, domain: '', name: `smlt.bind/${input.name}/${op}` },
    ...{ inputs, outputs: [output], attributes },
  });
  // One open axis is the rest of the row.
  const axes =
    inner.length === 0 && input.shape?.length !== 1
      ? [-1, width]
      : [-1, ...inner.map((axis) => (typeof axis === 'number' ? axis : width / sizeOf(known)))];
  return {
    ...graph,
    inputs: graph.inputs.filter(({ name }) => name !== input.name),
    initializers: new Map(graph.initializers).set(shape, intTensor([axes.length], axes)),
    nodes: [
      node('Reshape', [graphNames.targets, shape], shaped),
      node('Cast', [shaped], input.name, { to: int(elementTypeNumbers[input.type]) }),
      ...graph.nodes,
    ],
  };
}

/** Whether an output depends on the values of an input; exporters take shapes from it where the loss broadcasts. */
function dependsOn(graph: Graph, output: string, input: string): boolean {
  const reached = new Set([input]);
  for (const { op, inputs, outputs } of graph.nodes)
    if (op !== 'Shape' && op !== 'Size' && inputs.some((name) => reached.has(name))) for (const name of outputs) reached.add(name);
  return reached.has(output);
}

/** The graph that predicts: without the loss, and with zeros where targets give a shape. */
export function withoutLoss(graph: Graph): Graph {
  const predicting = pruned({ ...graph, outputs: graph.outputs.filter(({ name }) => name !== graphNames.loss) });
  const targets = graph.inputs.find(({ name }) => name === graphNames.targets);
  const inputs = graph.inputs.filter((input) => input !== targets);
  const row = inputs.find(({ shape }) => shape?.[0] === 'N');
  if (!targets || !row || !predicting.nodes.some((node) => node.inputs.includes(graphNames.targets))) return { ...predicting, inputs };
  const named = (name: string) => `smlt.no-targets/${name}`;
  const width = (targets.shape ?? []).slice(1).map(Number);
  const zero = { type: targets.type, shape: [1], data: dataOf(targets.type, [0]) };
  const node = (op: string, from: readonly string[], output: string, attributes: Node['attributes'] = {}): Node => ({
    ...{ op, domain: '', name: named(op) },
    ...{ inputs: from, outputs: [output], attributes },
  });
  return {
    ...predicting,
    inputs,
    initializers: new Map(predicting.initializers).set(named('width'), intTensor([width.length], width)),
    nodes: [
      node('Shape', [row.name], named('samples'), { start: int(0), end: int(1) }),
      node('Concat', [named('samples'), named('width')], named('shape'), { axis: int(0) }),
      node('ConstantOfShape', [named('shape')], graphNames.targets, { value: { kind: 'tensor', value: zero } }),
      ...predicting.nodes,
    ],
  };
}

/** The graph that evaluates: what predicts, and the loss under its public name. */
export function withLossLast(graph: Graph, { targets }: OwnLoss): Graph {
  const [loss, ...predictions] = graph.outputs as [ValueInfo, ...ValueInfo[]];
  const named: Node = { op: 'Identity', domain: '', name: graphNames.loss, inputs: [loss.name], outputs: [graphNames.loss], attributes: {} };
  return {
    ...graph,
    inputs: [...graph.inputs, ...(targets ? [{ ...targets, shape: ['N', ...(targets.shape ?? []).slice(1)] }] : [])],
    nodes: [...graph.nodes, named],
    outputs: [...predictions, { ...loss, name: graphNames.loss }],
  };
}
