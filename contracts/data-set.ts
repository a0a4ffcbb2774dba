import { z } from 'zod';

const Count = z.int().min(0);
/** `manifest.json` of a data set: samples were shuffled once when it was made, then cut into safetensors shards. */
export const DataSetManifest = z.object({
  formatVersion: z.literal(1),
  samples: z.int().min(1, 'expected at least one sample: the data set is empty'),
  /** Shape of one sample's features, without the sample axis. Features are float32 under the name `x` in each shard. */
  featureShape: z.array(z.int().min(1)),
  /** Where a sample has several named features: `x` is `[n, width]`, each row one after the other of them, flat, in this order. */
  features: z
    .array(z.object({ name: z.string().min(1), shape: z.array(z.int().min(1)) }))
    .min(1)
    .optional(),
  /** `class`: int64 labels `y` `[n]` in 0..classes-1. `values`: float32 `y` `[n, targetWidth]`. */
  target: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('class'), classes: z.int().min(2) }),
    z.object({ kind: z.literal('values'), width: z.int().min(1) }),
  ]),
  shards: z.array(z.object({ file: z.string(), samples: Count, sha256: z.string() })).min(1),
  /** SHA-256 over all samples in order: the data set's identity. */
  sha256: z.string(),
});
export type DataSetManifest = z.output<typeof DataSetManifest>;
