import type { RunRecord } from '../../contracts/pipeline';
import { isBadInput } from '../bad-input';

export const EXIT = { done: 0, failed: 1, badInput: 2, missed: 3, left: 130 } as const;

/** 0: goal and gates met; 3: finished, but a gate or a goal was missed; 1: failed. */
export function exitCodeOf(status: RunRecord['status']): number {
  switch (status) {
    case 'completed':
    case 'running':
      return EXIT.done;
    case 'failed':
    case 'diverged':
      return EXIT.failed;
    case 'budgetExhausted':
    case 'deadlineReached':
    case 'infeasibleGoal':
    case 'stopped':
    case 'pruned':
    case 'gateMissed':
      return EXIT.missed;
  }
}

export const exitCodeOfError = (error: unknown): number => (isBadInput(error) ? EXIT.badInput : EXIT.failed);
