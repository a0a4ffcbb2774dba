import { SmltError } from '../../contracts/errors';
import type { Graph } from '../onnx/graph';
import { sizeOf } from '../onnx/graph';
import type { Value } from '../shapes';
import { trainingForm } from '../training-form';
import { trainingGraph } from '../training-graph';
import { doubtsOf } from './doubts';
import type { Role } from './parameters';
import { rolesOf } from './parameters';
import type { ParameterChoice } from './patterns';
import { readForward } from './read-forward';

export interface Inspection {
  readonly producer: string;
  readonly opset: number;
  readonly inputs: readonly { readonly name: string; readonly type: string; readonly shape: readonly (number | string)[] }[];
  readonly outputs: readonly string[];
  /** Initialisers in the file's order. `unreached`: a parameter that no gradient reaches. */
  readonly initializers: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly elements: number;
    readonly role: Role | 'unreached';
  }[];
  readonly trainedElements: number;
  readonly operators: Readonly<Record<string, number>>;
  readonly doubts: readonly string[];
  /** Of one micro-batch's graph with its parameters; undefined where it cannot be trained. */
  readonly peakMemoryMib: number | undefined;
  /** Why it cannot be trained as it is. */
  readonly problem: SmltError | undefined;
}

/** Stands for axes that the file leaves open, besides the first. */
const OPEN_AXIS = 16;

/**
 * What a model file holds, what of it would train, and what is doubtful about the export.
 * @param samples  the micro-batch that memory is estimated for
 * @throws {SmltError} `InvalidModel` when the file cannot be read at all
 */
export function inspectModel(onnx: Uint8Array, samples: number, choice: ParameterChoice = {}): Inspection {
  const graph = readForward(onnx);
  const roles = rolesOf(graph, choice);
  const trial = attempt(graph, roles, samples);
  const reached = trial instanceof SmltError ? undefined : new Set(trial.params);
  const initializers = [...graph.initializers].map(([name, { shape }]) => {
    const role = roles.get(name) ?? 'constant';
    return { name, shape, elements: sizeOf(shape), role: role === 'parameter' && reached && !reached.has(name) ? ('unreached' as const) : role };
  });
  const operators: Record<string, number> = {};
  for (const { op, domain } of graph.nodes) {
    const name = domain === '' ? op : `${domain}.${op}`;
    operators[name] = (operators[name] ?? 0) + 1;
  }
  return {
    producer: graph.producer ?? '',
    opset: graph.opset,
    inputs: graph.inputs.map(({ name, type, shape = [] }) => ({ name, type, shape })),
    outputs: graph.outputs.map(({ name }) => name),
    initializers,
    trainedElements: initializers.reduce((sum, { role, elements }) => sum + (role === 'parameter' ? elements : 0), 0),
    operators,
    doubts: doubtsOf(graph, roles),
    peakMemoryMib: trial instanceof SmltError ? undefined : Math.ceil((trial.liveBytes / 2 ** 20) * 10) / 10,
    problem: trial instanceof SmltError ? trial : undefined,
  };
}

/** The training graph over a sum of outputs: what operators and shapes allow does not depend on the loss. */
function attempt(graph: Graph, roles: ReadonlyMap<string, Role>, samples: number) {
  try {
    const form = trainingForm(graph, roles);
    const candidates = [...roles].flatMap(([name, role]) => (role === 'parameter' ? [name] : []));
    const inputs = graph.inputs.map(({ name, type, shape = [] }): Value => ({
      name,
      type,
      shape: shape.map((axis, i) => (typeof axis === 'number' ? axis : i === 0 ? samples : OPEN_AXIS)),
    }));
    const first = inputs[0]?.shape[0] ?? samples;
    return trainingGraph(form, {
      samples: first,
      inputs,
      candidates,
      loss: (g, outputs) => ({ loss: g.sumAll(outputs), gradient: g.full(outputs.shape, 1, outputs.type), inputs: [] }),
    });
  } catch (error) {
    if (error instanceof SmltError) return error;
    throw error;
  }
}
