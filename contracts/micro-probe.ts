import { z } from 'zod';
import { MicroSample } from './scheduling';

/** Times gradients on one function alone, in micro-batches of the job's own size: 1, 2 and 4 of them in a row. */
export const MicroProbeRequest = z.object({
  probe: z.literal('gradients'),
  storeUri: z.string(),
  programDigest: z.string(),
  dataUri: z.string(),
  /** Of one micro-batch; the program has a graph for this many. */
  samples: z.int().min(1),
  memoryMib: z.int().min(1),
});
export type MicroProbeRequest = z.output<typeof MicroProbeRequest>;

export const MicroProbeAnswer = z.object({ samples: z.array(MicroSample).min(1) });
export type MicroProbeAnswer = z.output<typeof MicroProbeAnswer>;

/** What a run's micro-probe came to; `note` says it, or why there was none, to people. */
export const MicroProbeRecord = z.object({ formatVersion: z.literal(1), programDigest: z.string(), note: z.string(), samples: z.array(MicroSample) });
export type MicroProbeRecord = z.output<typeof MicroProbeRecord>;
