import type { Graph } from '../onnx/graph';

/** Which names torch.export knew as parameters, and which as buffers or constants of the code. */
export interface TorchSignature {
  readonly parameters: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
}

/** Read from what `torch.onnx.export(..., dynamo=True)` writes beside the graph: `p_fc_weight: PARAMETER target='fc.weight'`. */
export function torchSignature({ metadata }: Graph): TorchSignature | undefined {
  const text = metadata?.['pkg.torch.export.ExportedProgram.graph_signature'];
  if (text === undefined) return undefined;
  const inputs = text.split(/^# outputs$/m)[0] ?? '';
  const named = (kind: string) => new Set([...inputs.matchAll(new RegExp(`: (?:${kind}) target='([^']*)'`, 'g'))].map((match) => match[1] ?? ''));
  return { parameters: named('PARAMETER'), buffers: named('BUFFER|CONSTANT_TENSOR') };
}
