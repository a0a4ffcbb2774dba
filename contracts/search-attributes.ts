/** What smlt's workflows write for people to search by. A namespace that lacks one would hang the workflow task that sets it. */
export const searchAttributes = {
  SmltStage: 'Keyword',
  SmltAllocation: 'Keyword',
  SmltModel: 'Keyword',
  SmltStep: 'Int',
  SmltLoss: 'Double',
  SmltSpentUsd: 'Double',
  SmltDeadline: 'Datetime',
} as const;
