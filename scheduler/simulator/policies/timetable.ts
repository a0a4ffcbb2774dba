import type { Policy } from '../run';
import { decided, type Choice } from './choice';

/** From a step and a moment on, the later of the two. */
export interface Stage extends Choice {
  readonly fromStep: number;
  readonly fromMs?: number | undefined;
}

/** Follows a plan made before: what a planner does who knows everything, or one who planned once and stays. */
export function timetable(stages: readonly Stage[], roundSteps: number): Policy {
  return ({ stepsDone, nowMs }) => {
    const now = stages.findLast(({ fromStep, fromMs = 0 }) => fromStep <= stepsDone && fromMs <= nowMs) ?? stages[0]!;
    const next = stages.find(({ fromStep }) => fromStep > stepsDone);
    return decided('run', now, Math.min(roundSteps, next ? next.fromStep - stepsDone : Infinity), 'as planned');
  };
}
export const fixed = (choice: Choice, roundSteps: number): Policy => timetable([{ ...choice, fromStep: 0 }], roundSteps);
