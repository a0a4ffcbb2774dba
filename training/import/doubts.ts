import type { Graph } from '../onnx/graph';
import type { Role } from './parameters';
import { torchSignature } from './torch-signature';

const few = (names: readonly string[]): string => names.slice(0, 6).join(', ') + (names.length > 6 ? ` and ${names.length - 6} more` : '');

/**
 * What an exporter may have lost on the way, in words that say what to do. A doubt is no error: the graph may be meant so.
 */
export function doubtsOf(graph: Graph, roles: ReadonlyMap<string, Role>): string[] {
  const doubts: string[] = [];
  const parameters = [...roles].flatMap(([name, role]) => (role === 'parameter' ? [name] : []));
  const signature = torchSignature(graph);

  const lost = [...(signature?.parameters ?? [])].filter((name) => !graph.initializers.has(name));
  if (lost.length > 0)
    doubts.push(
      `${lost.length} of the model's ${signature?.parameters.size} parameters are not in the file under their names: ${few(lost)}. Right only where they are tied to another; else export with optimize=False`,
    );

  const renamed = parameters.filter((name) => /^(val_\d+|onnx::\w+_\d+)$/.test(name));
  if (renamed.length > 0) doubts.push(`${few(renamed)}: weights that the exporter has transposed, folded or renamed. Export without optimisation`);

  const foldedNorm = graph.nodes.filter(
    ({ op, inputs }) => op === 'Conv' && inputs.slice(1).some((name) => /^onnx::Conv_\d+$|\.weight_bias$|_bias$/.test(name)),
  );
  if (foldedNorm.length > 0 && !graph.nodes.some(({ op }) => op === 'BatchNormalization'))
    doubts.push(
      `${foldedNorm.length} Conv nodes seem to have a BatchNormalization folded into them: what trains is another model. Export in training mode`,
    );

  const slots = new Map<string, number>();
  for (const { op, inputs } of graph.nodes)
    if (/Normalization$/.test(op))
      for (const name of inputs.slice(1, 3)) if (graph.initializers.has(name)) slots.set(name, (slots.get(name) ?? 0) + 1);
  const shared = [...slots].flatMap(([name, uses]) => (uses > 1 ? [name] : []));
  if (shared.length > 0)
    doubts.push(
      `${few(shared)}: one tensor in several normalisation layers. Exporters merge tensors that are equal at first; training it ties the layers. Export without optimisation`,
    );

  const padded = graph.nodes.filter(({ paddingIndex }) => paddingIndex !== undefined);
  if (!signature && padded.length > 0)
    doubts.push(
      `${few(padded.map(({ inputs, paddingIndex }) => `row ${paddingIndex} of ${inputs[0]}`))}: zeros among random numbers, taken for padding (padding_idx), which does not train. If it shall train, begin it with other numbers`,
    );

  const copies = graph.nodes.filter(({ op, inputs }) => op === 'Identity' && graph.initializers.has(inputs[0] ?? ''));
  if (copies.length > 0)
    doubts.push(
      `${few(copies.map(({ inputs, outputs }) => `${outputs[0]} = ${inputs[0]}`))}: equal tensors were merged into one. Right where they are tied; else export in training mode`,
    );

  const norms = graph.nodes.filter(({ op }) => op === 'BatchNormalization');
  const inference = norms.filter(({ attributes: { training_mode: mode } }) => !(mode?.kind === 'int' && mode.value === 1));
  if (inference.length > 0)
    doubts.push(
      `${inference.length} of ${norms.length} BatchNormalization nodes were exported in inference mode: smlt switches them to training mode${graph.nodes.some(({ op }) => op === 'Dropout') ? '' : '. If the model has dropout, it is missing too'}`,
    );

  const buffers = parameters.filter((name) =>
    /(^|[._])(\w*mask|pe|position_ids|inv_freq|freqs\w*|cos|sin|anchors?|rel\w*_index|relative_\w+|running_\w+|mean|std)$/.test(name),
  );
  if (!signature && buffers.length > 0)
    doubts.push(
      `${few(buffers)}: by their names these may be buffers, which this exporter does not tell from parameters. Leave them out with model.freeze`,
    );

  for (const { name, shape } of graph.inputs)
    if (typeof shape?.[0] === 'number')
      doubts.push(`input '${name}' has a fixed batch of ${shape[0]}: export with a dynamic first axis, or let each lane have ${shape[0]} samples`);
  const stored = [...graph.initializers].flatMap(([name, { storedAs }]) => (storedAs && roles.get(name) === 'parameter' ? [storedAs] : []));
  if (stored.length > 0) doubts.push(`${stored.length} parameters are stored as ${[...new Set(stored)].join(', ')}: they train as float32`);
  if (graph.outputs.length > 1)
    doubts.push(`the model has ${graph.outputs.length} outputs: the loss is taken of the first, '${graph.outputs[0]?.name}'`);
  return doubts;
}
