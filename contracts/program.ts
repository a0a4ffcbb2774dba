import { z } from 'zod';
import { Loss } from './model';

const Tensor = z.object({ name: z.string(), shape: z.array(z.int().min(0)), offset: z.int().min(0), length: z.int().min(0) });
/**
 * What trains: made once by the `prepare` function, stored under its digest. Parameters and running statistics lie in
 * one flat float32 vector each, in this order; a named tensor is a view `[offset, offset + length)` of it.
 */
export const Program = z.object({
  formatVersion: z.literal(1),
  digest: z.string(),
  loss: Loss,
  params: z.array(Tensor),
  paramCount: z.int().min(1),
  /** Running statistics (batch normalisation): not trained, averaged over lanes. `momentum` is the weight of the new value. */
  buffers: z.array(Tensor.extend({ momentum: z.number() })),
  bufferCount: z.int().min(0),
  /** Elements a range border falls on: a power of two from 256 to 65,536 (docs/lanes.md). */
  blockElements: z.int().min(1),
  featureShape: z.array(z.int().min(1)),
  /** Of one sample's raw output; left out: a row. */
  outputShape: z.array(z.int().min(1)).optional(),
  target: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('class'), classes: z.int() }),
    z.object({ kind: z.literal('values'), width: z.int() }),
  ]),
  /** Dropout masks that the host makes, one uniform-bits input a node: element count a sample. */
  noise: z.array(z.object({ input: z.string(), node: z.int().min(0), elementsPerSample: z.int().min(1), shape: z.array(z.int()), rate: z.number() })),
  /** Training graphs by their lane micro-batch size: object names. None in a Python program. */
  trainingGraphs: z.record(z.string(), z.string()),
  /** The same for hosts whose ONNX Runtime has channels in blocks of 16 (AVX-512): faster, other bits. Left out where nothing gains. */
  blockedGraphs: z.record(z.string(), z.string()).optional(),
  forwardGraph: z.string(),
  initialParams: z.string(),
  initialBuffers: z.string(),
  /** Where the program is Python code: what its functions load instead of graphs. */
  python: z
    .object({
      entry: z.string(),
      files: z.array(z.object({ path: z.string(), object: z.string() })),
      seed: z.int(),
      /** `name==version` of every package that it loaded: other versions may compute other bits. */
      packages: z.array(z.string()),
      /** Digest of what the model does not train and its gradients depend on. */
      constants: z.string(),
    })
    .optional(),
  peakMemoryMib: z.number(),
  forwardFlopsPerSample: z.number(),
});
export type Program = z.output<typeof Program>;
