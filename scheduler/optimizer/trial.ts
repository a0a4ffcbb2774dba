import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { parseWith } from '../../contracts/job';
import { keyOf, Setting, type ResolvedSpace } from './space';

const common = {
  allocation: Setting,
  /** Which program was measured, where that may differ: only observations of the optimiser's own are taken. */
  programVersion: z.string().optional(),
};
/** What one configuration did. A failed one (out of memory, never finished) has no time. */
export const Trial = z.union([
  z.strictObject({ ...common, timeMs: z.number().positive(), costUsd: z.number().min(0).optional() }),
  z.strictObject({ ...common, failed: z.literal(true) }),
]);
export type Trial = z.output<typeof Trial>;
export type FinishedTrial = Extract<Trial, { timeMs: number }>;

/** Observations by their place in the space. */
export interface Located {
  readonly finished: readonly { readonly trial: FinishedTrial; readonly index: number }[];
  readonly failed: ReadonlySet<number>;
  readonly seen: ReadonlySet<number>;
}

/** @throws {SmltError} `InvalidSpec`: not a number, another program's, outside the space, no cost where the goal counts dollars */
export function locate(
  given: readonly unknown[],
  { options }: ResolvedSpace,
  indexOf: ReadonlyMap<string, number>,
  { programVersion, needsCost }: { programVersion: string | undefined; needsCost: boolean },
): Located {
  const finished: { trial: FinishedTrial; index: number }[] = [];
  const failed = new Set<number>();
  given.forEach((entry, i) => {
    const trial = parseWith(Trial, entry, `observation ${i}`);
    const refused = (what: string) => new SmltError('InvalidSpec', `observation ${i} is not valid: ${what}`);
    if (trial.programVersion !== undefined && trial.programVersion !== programVersion)
      throw refused(
        `it is of program version “${trial.programVersion}”, expected ${programVersion === undefined ? 'none' : `“${programVersion}”`}: leave it out`,
      );
    const index = indexOf.get(keyOf(trial.allocation));
    if (index === undefined) throw refused(`its allocation ${JSON.stringify(trial.allocation)} is not in the space`);
    if ('failed' in trial) return void failed.add(index);
    if (needsCost && trial.costUsd === undefined && options[index]!.usdPerSecond === undefined)
      throw refused(`no price for ${JSON.stringify(trial.allocation)}, and the goal counts dollars: give its costUsd, or usdPerSecond in the space`);
    finished.push({ trial, index });
  });
  return { finished, failed, seen: new Set([...failed, ...finished.map(({ index }) => index)]) };
}
