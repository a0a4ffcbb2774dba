import { z } from 'zod';
import { MicroProbeRequest, type MicroProbeAnswer } from '../../contracts/micro-probe';
import { Assignment, type TrainAnswer } from '../../contracts/round';
import type { Context } from '../handler';
import type { World } from '../world';
import { trainRound } from './handler';
import { probeGradients } from './micro-probe';

/** What the train function is asked for: a turn in a round, or, before the first one, how long its gradients take. */
export const TrainRequest = z.discriminatedUnion('probe', [MicroProbeRequest, Assignment.extend({ probe: z.undefined().optional() })]);
type TrainRequest = z.output<typeof TrainRequest>;

export const train = (world: World, request: TrainRequest, context: Context): Promise<TrainAnswer | MicroProbeAnswer> =>
  request.probe === 'gradients' ? probeGradients(world, request) : trainRound(world, request, context);
