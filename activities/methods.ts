import { ChosenMethod, withMethod } from '../contracts/chosen-method';
import type { Job } from '../contracts/job';
import { names } from '../contracts/names';
import type { Recipe } from '../contracts/round';
import type { DecisionRequest } from '../contracts/scheduling';
import { chooseMethod } from '../scheduler';
import { sha256Hex } from '../storage/digest';
import type { EngineDependencies } from './dependencies';
import { decodeRecord, encodeRecord, findRecord } from './records';
import type { Standing } from './scheduler-input';

const DIGEST_DIGITS = 16;

/** What a choice of method rests on: the goal, what is spent, and what rounds without any method have shown. */
export interface MethodQuestion extends Pick<Standing, 'grant' | 'spentNanoUsd' | 'nowMs' | 'observations' | 'forbidden'> {
  /** Left out: the job's own end. */
  readonly untilStep?: number | undefined;
}

export const standingOf = ({ untilStep, ...question }: MethodQuestion, step: number, { totalSteps }: Recipe): Standing => ({
  ...question,
  ...{ step, untilStep: untilStep ?? totalSteps, switches: 0, current: null, phase: 'run', probesLeft: 0 },
});

/** One round may have met a straggler, and is doubted where it is far from what was expected. */
const ENOUGH_ROUNDS = 3;

/**
 * What a run takes of the methods that its job allows: chosen once, as soon as enough was seen; later tracks and resumes find
 * it. A job that is resumed with other methods chooses anew.
 * @param ask  what the scheduler is asked where the job leaves nothing to choose
 * @returns undefined as long as too little was seen
 */
export async function chosenMethod(
  { store }: Pick<EngineDependencies, 'store'>,
  run: string,
  job: Job,
  ask: (job: Job) => Promise<DecisionRequest>,
): Promise<ChosenMethod | undefined> {
  const name = names.method(run, sha256Hex(encodeRecord(job.synchronization)).slice(0, DIGEST_DIGITS));
  const stored = await findRecord(store, ChosenMethod, name);
  if (stored) return stored;
  const lossless = await ask(withMethod(job, undefined));
  if (lossless.observations.reduce((rounds, { merged = 1 }) => rounds + merged, 0) < ENOUGH_ROUNDS) return undefined;
  const offers = await Promise.all(job.synchronization.allow!.map(async (method) => ({ method, request: await ask(withMethod(job, method)) })));
  const choice = chooseMethod(lossless, offers);
  return decodeRecord(ChosenMethod, await store.decide(name, encodeRecord({ formatVersion: 1, ...choice })), name);
}
