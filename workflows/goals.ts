import { setHandler } from '@temporalio/workflow';
import { parseWith } from '../contracts/job';
import { spentNanoUsd } from '../contracts/money';
import { GoalChange } from '../contracts/pipeline';
import { durationMs, nanoUsd } from '../contracts/units';
import { setGoalUpdate } from './messages';
import type { RecordKeeper } from './record';
import { refusal } from './refusal';

/** Lets a run's goal be changed while it runs. `onChange` passes the new one on. */
export function listenForGoals(record: RecordKeeper, onChange: () => void): void {
  setHandler(
    setGoalUpdate,
    (change) => {
      const { minimize, budgetUsd, deadline } = parseGoal(change);
      if (minimize !== undefined) record.update({ minimize });
      if (budgetUsd !== undefined) record.update({ budgetNanoUsd: budgetUsd === null ? null : nanoUsd(budgetUsd) });
      if (deadline !== undefined) record.update({ deadlineAtMs: deadline === null ? null : momentMs(deadline) });
      onChange();
    },
    {
      validator: (change) => {
        const { budgetUsd, deadline } = parseGoal(change);
        if (typeof budgetUsd === 'number' && nanoUsd(budgetUsd) < spentNanoUsd(record.current.ledger))
          throw refusal('InvalidSpec', `budgetUsd: $${budgetUsd} is less than what is spent already; expected more, or stop the run`);
        if (typeof deadline === 'string' && momentMs(deadline) <= Date.now()) throw refusal('InvalidSpec', 'deadline: expected a moment after now');
      },
    },
  );
}

const parseGoal = (change: unknown) => parseWith(GoalChange, change, 'the new goal');

const momentMs = (deadline: string): number => (/^\d{4}-/.test(deadline) ? Date.parse(deadline) : Date.now() + durationMs(deadline));
