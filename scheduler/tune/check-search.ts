import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { Job, type SearchRange } from '../../contracts/job';
import { withParameters, type ParameterValue } from './space';

/**
 * Tries the ends of every range that is searched, one at a time: a path that leads nowhere, or a value that no job may have,
 * is said before the first trial is paid for, not in the middle of the search. @throws {SmltError} `InvalidSpec`
 */
export function checkSearch(job: Job): void {
  for (const [path, range] of Object.entries(job.tune?.parameters ?? {}))
    for (const value of endsOf(range)) {
      const parsed = Job.safeParse(withParameters(job, { [path]: value }));
      if (!parsed.success)
        throw new SmltError(
          'InvalidSpec',
          `tune.parameters: ${path} may become ${JSON.stringify(value)}, and then the job is not valid:\n${z.prettifyError(parsed.error)}`,
        );
    }
}

function endsOf(range: SearchRange): readonly ParameterValue[] {
  if ('choice' in range) return range.choice;
  return 'integer' in range ? range.integer : 'uniform' in range ? range.uniform : range.logUniform;
}
