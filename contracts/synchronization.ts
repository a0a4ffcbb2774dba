import { z } from 'zod';
import { Compression } from './compression';
import { ExchangeKind } from './exchange';
import { LossyMethods } from './lossy-methods';

/**
 * Who adds gradients up and who updates what, in a step (docs/synchronisation.md). Weights have the same bits whichever it is.
 * `scatter-reduce`: every worker owns a range of the parameters, adds up its gradients and updates it.
 * `parameter-server`: one worker owns everything (Cirrus).
 * `all-to-all`: every worker reads all gradients and updates everything (Siren).
 * `all-reduce-leader`: one worker adds everything up, and every worker updates everything with that sum (LambdaML's AllReduce).
 */
export const topologies = ['scatter-reduce', 'parameter-server', 'all-to-all', 'all-reduce-leader'] as const;
export const Topology = z.enum(topologies, `expected one of ${topologies.join(', ')}`);
export type Topology = z.output<typeof Topology>;

/** In these every worker updates all parameters by itself, from sums over all lanes. */
export const isReplicated = (topology: Topology): boolean => topology === 'all-to-all' || topology === 'all-reduce-leader';

const Beta = z.number().min(0, 'expected at least 0').lt(1, 'expected less than 1');
const Parts = z.int('expected a whole number').min(1, 'expected at least 1');

/**
 * Local SGD: a lane computes its share of a batch in so many micro-batches and takes a step of plain SGD after each, on a
 * copy of the parameters that is its own. The difference that they come to takes the place of its gradient (DiLoCo's outer
 * gradient), so `training.optimizer` is the outer optimiser. Plain SGD keeps nothing from one batch to the next; with AdamW,
 * DiLoCo's inner optimiser, a lane keeps its own two moments.
 * Sources: Stich 2018, "Local SGD converges fast and communicates little"; Douillard et al. 2023, "DiLoCo".
 */
export const LocalSteps = z.strictObject({
  steps: Parts,
  learningRate: z.number().positive('expected more than 0'),
  /** Left out: plain SGD. */
  optimizer: z
    .strictObject({
      kind: z.literal('adamw', 'expected adamw; leave optimizer out for plain SGD'),
      beta1: Beta.default(0.9),
      beta2: Beta.default(0.999),
      epsilon: z.number().positive('expected more than 0').default(1e-8),
      weightDecay: z.number().min(0, 'expected 0 or more').default(0.01),
    })
    .optional(),
});
export type LocalSteps = z.output<typeof LocalSteps>;

/** How workers exchange gradients and parameters. All but topology, groups and exchanges is a part of the recipe: it changes values. */
export const Synchronization = z
  .strictObject({
    topology: Topology.default('scatter-reduce'),
    /** Workers add gradients up in so many groups before owners do; left out: the scheduler chooses. */
    groups: z.int('expected a whole number').min(1, 'expected at least 1').max(1_024, 'expected at most 1,024').optional(),
    /** What may be exchanged over, of the deployment's exchanges; left out: any of them. Changes no value. */
    exchanges: z.array(ExchangeKind).min(1, 'expected at least one; leave it out to allow all').optional(),
    /** Left out: gradients are exchanged as they are. */
    compression: Compression.optional(),
    /** A lane computes its share of a batch in so many micro-batches, one after the other: less memory, the same update. */
    microBatches: Parts.optional(),
    /** A lane takes so many steps of its own in a batch: the same traffic for as many times the samples. */
    localSteps: LocalSteps.optional(),
    /** Lossy methods that the scheduler may choose one of, where it pays; left out: none. */
    allow: LossyMethods.optional(),
  })
  .refine(({ topology, groups }) => groups === undefined || topology === 'scatter-reduce', {
    error: 'only scatter-reduce adds up in groups: leave groups out, or take that topology',
    path: ['groups'],
  })
  .refine(({ microBatches, localSteps }) => microBatches === undefined || localSteps === undefined, {
    error: "a lane's share of a batch is cut either for one gradient or into steps: leave out microBatches or localSteps",
    path: ['localSteps'],
  })
  .refine(({ allow, compression }) => allow === undefined || compression === undefined, {
    error: 'compression fixes the method that allow lets the scheduler choose: leave one of them out',
    path: ['allow'],
  });
export type Synchronization = z.output<typeof Synchronization>;

/** Micro-batches that a lane cuts its share of a batch into. */
export const partsOf = ({ microBatches = 1, localSteps }: Pick<Synchronization, 'microBatches' | 'localSteps'>): number =>
  localSteps?.steps ?? microBatches;

/**
 * What a worker needs beside everything else where a lane's share is cut: a part's own gradient, and for local steps the
 * lane's own parameters.
 */
export function partBytes(cut: Pick<Synchronization, 'microBatches' | 'localSteps'>, paramCount: number): number {
  const vectors = partsOf(cut) === 1 ? 0 : cut.localSteps ? 2 : 1;
  return vectors * Float32Array.BYTES_PER_ELEMENT * paramCount;
}
