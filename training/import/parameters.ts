import type { Graph } from '../onnx/graph';
import { sizeOf } from '../onnx/graph';
import type { ParameterChoice } from './patterns';
import { chosen } from './patterns';
import { torchSignature } from './torch-signature';

/**
 * What an initialiser is to training.
 * - `parameter`: a float that may train.
 * - `frozen`: one that the job leaves as it is; a constant of the program.
 * - `statistic`: a running mean or variance of BatchNormalization; averaged, not trained. `frozen` when the job freezes both.
 * - `buffer`: a float that the exporter says is no parameter.
 * - `constant`: whole numbers and truth values.
 */
export type Role = 'parameter' | 'frozen' | 'statistic' | 'buffer' | 'constant';

/** The role of every initialiser, in the file's order. @throws {SmltError} `InvalidSpec` for a pattern that matches nothing */
export function rolesOf(graph: Graph, choice: ParameterChoice = {}): Map<string, Role> {
  const statistics = new Set(
    graph.nodes.flatMap(({ op, domain, inputs }) => (op === 'BatchNormalization' && domain === '' ? inputs.slice(3, 5) : [])),
  );
  const signature = torchSignature(graph);
  const kinds = new Map(
    [...graph.initializers].map(([name, { type, shape }]): [string, Role] => {
      if (type !== 'float32') return [name, 'constant'];
      if (statistics.has(name)) return [name, 'statistic'];
      if (!signature || signature.parameters.has(name)) return [name, 'parameter'];
      // A number that the exporter has taken out of the code, such as the scale of attention.
      return [name, signature.buffers.has(name) || sizeOf(shape) === 1 ? 'buffer' : 'parameter'];
    }),
  );
  const trains = chosen(
    choice,
    [...kinds].flatMap(([name, kind]) => (kind === 'parameter' || kind === 'statistic' ? [name] : [])),
  );
  return new Map([...kinds].map(([name, kind]) => [name, (kind === 'parameter' || kind === 'statistic') && !trains(name) ? 'frozen' : kind]));
}
