import { z } from 'zod';

const Size = z.int('expected a whole number').min(1, 'expected at least 1');
const Pair = z.union([Size, z.tuple([Size, Size])]);
const activations = ['relu', 'leakyRelu', 'elu', 'selu', 'gelu', 'sigmoid', 'tanh', 'softplus', 'hardSigmoid', 'hardSwish'] as const;

export type Layer =
  | (typeof activations)[number]
  | 'flatten'
  | 'globalAveragePool2d'
  | 'batchNorm'
  | 'layerNorm'
  | { dense: number | { units: number; bias?: boolean | undefined } }
  | {
      conv2d: {
        filters: number;
        kernel: number | [number, number];
        stride?: number | [number, number] | undefined;
        padding?: 'same' | 'valid' | undefined;
        groups?: number | undefined;
        bias?: boolean | undefined;
      };
    }
  | { maxPool2d: number | { size: number | [number, number]; stride?: number | [number, number] | undefined } }
  | { averagePool2d: number | { size: number | [number, number]; stride?: number | [number, number] | undefined } }
  | { dropout: number }
  | { batchNorm: { momentum?: number | undefined; epsilon?: number | undefined } }
  | { reshape: number[] }
  | { residual: Layer[] };

const Pool = z.union([Size, z.strictObject({ size: Pair, stride: Pair.optional() })]);

/** One layer of a sequential model. Shapes: images are `[N, C, H, W]`, features `[N, F]`. */
export const Layer: z.ZodType<Layer> = z.lazy(() =>
  z.union(
    [
      z.enum([...activations, 'flatten', 'globalAveragePool2d', 'batchNorm', 'layerNorm']),
      z.strictObject({ dense: z.union([Size, z.strictObject({ units: Size, bias: z.boolean().optional() })]) }),
      z.strictObject({
        conv2d: z.strictObject({
          filters: Size,
          kernel: Pair,
          stride: Pair.optional(),
          padding: z.enum(['same', 'valid']).optional(),
          groups: Size.optional(),
          bias: z.boolean().optional(),
        }),
      }),
      z.strictObject({ maxPool2d: Pool }),
      z.strictObject({ averagePool2d: Pool }),
      z.strictObject({ dropout: z.number().min(0, 'expected 0 or more').lt(1, 'expected less than 1') }),
      z.strictObject({ batchNorm: z.strictObject({ momentum: z.number().gt(0).max(1).optional(), epsilon: z.number().positive().optional() }) }),
      z.strictObject({ reshape: z.array(Size).min(1) }),
      z.strictObject({ residual: z.array(Layer).min(1) }),
    ],
    { error: (issue) => `unknown layer ${JSON.stringify(issue.input)?.slice(0, 80)}; expected one of ${layerNames.join(', ')} with its options` },
  ),
);
export const layerNames = [
  ...activations,
  'flatten',
  'globalAveragePool2d',
  'batchNorm',
  'layerNorm',
  'dense',
  'conv2d',
  'maxPool2d',
  'averagePool2d',
  'dropout',
  'reshape',
  'residual',
];

const Patterns = z.array(z.string().min(1)).min(1, 'expected at least one pattern; leave it out for none');
/** An ONNX forward graph (a path in a job file, a URI once the job is started), and what of it trains. */
export const OnnxModel = z.strictObject({
  onnx: z.string().min(1),
  /** Feature of the data set by graph input, where their names differ. */
  inputs: z.record(z.string(), z.string().min(1)).optional(),
  /** safetensors: initial values by name. A graph input that is named here is a parameter. */
  weights: z.string().min(1).optional(),
  /** Only parameters that match train. `*` stands for any characters, `?` for one. */
  train: Patterns.optional(),
  /** Parameters that match stay as they are, and so do matching running statistics. */
  freeze: Patterns.optional(),
});
export type OnnxModel = z.output<typeof OnnxModel>;

/** Python code: what it may import, and the interpreter that has it. Paths in a job file, URIs once the job is started. */
export const PythonModel = z.strictObject({
  python: z.string().min(1).regex(/\.py$/, 'expected a Python file, such as program.py'),
  /** Further files that the program imports or reads: beside it, or below. */
  files: z.array(z.string().min(1)).max(1_000).default([]),
  /** What pip installs: lines of a requirements.txt, or the path of one. Left out: nothing but NumPy. */
  requirements: z.array(z.string().min(1)).optional(),
  /** A Python that has the packages already, such as .venv/bin/python; smlt installs nothing then. */
  interpreter: z.string().min(1).optional(),
});
export type PythonModel = z.output<typeof PythonModel>;

/** A sequence of layers, an ONNX forward graph, or Python code (paths in a job file, URIs once the job is started). */
export const Model = z.union([z.strictObject({ layers: z.array(Layer).min(1, 'expected at least one layer') }), OnnxModel, PythonModel], {
  error: 'expected { "layers": [...] }, { "onnx": "model.onnx" } or { "python": "program.py" }',
});
export type Model = z.output<typeof Model>;

export { Loss, lossNames } from './loss';
