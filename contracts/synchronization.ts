import { z } from 'zod';
import { Compression } from './compression';

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

/** How workers exchange gradients and parameters. All but topology and groups is a part of the recipe: it changes values. */
export const Synchronization = z
  .strictObject({
    topology: Topology.default('scatter-reduce'),
    /** Workers add gradients up in so many groups before owners do; left out: the scheduler chooses. */
    groups: z.int('expected a whole number').min(1, 'expected at least 1').max(1_024, 'expected at most 1,024').optional(),
    /** Left out: gradients are exchanged as they are. */
    compression: Compression.optional(),
    /** A lane computes its share of a batch in so many micro-batches, one after the other: less memory, the same update. */
    microBatches: z.int('expected a whole number').min(1, 'expected at least 1').optional(),
  })
  .refine(({ topology, groups }) => groups === undefined || topology === 'scatter-reduce', {
    error: 'only scatter-reduce adds up in groups: leave groups out, or take that topology',
    path: ['groups'],
  });
export type Synchronization = z.output<typeof Synchronization>;
