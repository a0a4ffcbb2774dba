import { z } from 'zod';
import { Loss, Model } from './model';
import { Recompute } from './recompute';

/** Serverless functions, one a role. Payloads and answers are JSON; a user's error is an answer `{ error }`, never a crash. */
export type FunctionRole = 'prepare' | 'train' | 'evaluate' | 'export' | 'predict';

const MODEL_PREFIX = 'smlt-model-';
/** The function of a deployed model; its alias `live` is the version that answers. */
export const modelFunctionName = (model: string): string => `${MODEL_PREFIX}${model}`;
/** The deployed model that a function answers for, if it does. */
export const modelOfFunction = (name: string): string | undefined => (name.startsWith(MODEL_PREFIX) ? name.slice(MODEL_PREFIX.length) : undefined);

/** The Python that a program's functions run on, and its version, such as 3.11. */
export const PythonRuntime = z.object({ interpreter: z.string(), version: z.string() });
export type PythonRuntime = z.output<typeof PythonRuntime>;

/** Checks, differentiates and stores a program once. `laneBatches`: the micro-batch sizes that lanes will use. */
export const PrepareRequest = z.object({
  storeUri: z.string(),
  model: Model,
  loss: Loss,
  dataUri: z.string(),
  seed: z.int(),
  laneBatches: z.array(z.int().min(1)),
  recompute: Recompute.optional(),
  /** The most memory that a function may get: what does not fit is computed again. */
  memoryMib: z.int().optional(),
  /** `bits`: a program whose gradients vary is refused. */
  reproducibility: z.enum(['bits', 'values']).optional(),
});
export type PrepareRequest = z.output<typeof PrepareRequest>;
export const PrepareAnswer = z.object({
  programDigest: z.string(),
  paramCount: z.int(),
  bufferCount: z.int(),
  peakMemoryMib: z.number(),
  forwardFlopsPerSample: z.number(),
  dataSha256: z.string(),
  samples: z.int(),
  /** Measured when the program was prepared: one sample's gradient on one vCPU, and, where it is not the usual one, a cold start. */
  gradientMsPerSample: z.number().optional(),
  coldStartMs: z.number().optional(),
  python: PythonRuntime.optional(),
  notes: z.array(z.string()).optional(),
});
export type PrepareAnswer = z.output<typeof PrepareAnswer>;

/** The weights to evaluate or export: a committed round. */
export const WeightsReference = z.object({ run: z.string(), track: z.string(), round: z.int() });
export type WeightsReference = z.output<typeof WeightsReference>;

/** Measures samples [start, end) of a data set; sums merge exactly (float64, fixed order). */
export const EvaluateRequest = z.object({
  storeUri: z.string(),
  programDigest: z.string(),
  weights: WeightsReference,
  dataUri: z.string(),
  start: z.int(),
  end: z.int(),
  saveOutputs: z.int().min(0).default(0),
});
export type EvaluateRequest = z.output<typeof EvaluateRequest>;
export const MetricSums = z.object({
  samples: z.int(),
  lossSum: z.number(),
  correct: z.int(),
  /** Row = label, column = prediction; empty for regression. */
  confusion: z.array(z.array(z.int())),
  values: z.int(),
  squaredErrorSum: z.number(),
  absoluteErrorSum: z.number(),
  targetSum: z.number(),
  targetSquaredSum: z.number(),
  /** Of the losses in lossSum: samples, or less where labels are ignored, or the classes' weights. */
  weightSum: z.number(),
  /** Decisions that `correct` counts: samples, or the positions of sequences that are not ignored. */
  decisions: z.int(),
  /** How many true labels had the largest output, the second largest, ...; the last entry is the rest. */
  ranks: z.array(z.int()),
  /** For each class (or each label of several): of the decisions those that named it rightly, that named it, that had it. */
  perClass: z.object({ right: z.array(z.int()), named: z.array(z.int()), had: z.array(z.int()) }),
  /** Yes-or-no models: every sample's float32 score, by label and sorted, little-endian in base64. */
  scores: z.object({ positive: z.string(), negative: z.string() }),
  /** The sums without rounding, each as float64 parts whose exact sum it is: so merging cannot depend on the cut. */
  exact: z.record(z.string(), z.array(z.number())).optional(),
});
export type MetricSums = z.output<typeof MetricSums>;
/** `outputs`: the first `saveOutputs` samples' raw outputs, for the check of a deployed model. */
export const EvaluateAnswer = z.object({ sums: MetricSums, outputs: z.array(z.array(z.number())) });
export type EvaluateAnswer = z.output<typeof EvaluateAnswer>;

/** Writes model.onnx (inference, trained weights), model.safetensors and model-card.json under a version. */
export const ExportRequest = z.object({
  storeUri: z.string(),
  programDigest: z.string(),
  weights: WeightsReference,
  name: z.string(),
  card: z.record(z.string(), z.unknown()),
});
export type ExportRequest = z.output<typeof ExportRequest>;
/** `file`: the model's own file, where it is not model.onnx. */
export const ExportAnswer = z.object({ version: z.string(), modelName: z.string(), weightsSha256: z.string(), file: z.string().optional() });
export type ExportAnswer = z.output<typeof ExportAnswer>;

/** Samples in, raw outputs out (and the class where there is one). The model is named by the function's environment. */
export const PredictRequest = z.object({ inputs: z.array(z.array(z.number())).min(1).max(1000) });
export type PredictRequest = z.output<typeof PredictRequest>;
export const PredictAnswer = z.object({ outputs: z.array(z.array(z.number())), classes: z.array(z.int()).optional(), version: z.string() });
export type PredictAnswer = z.output<typeof PredictAnswer>;
