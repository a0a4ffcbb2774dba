import { SmltError } from './errors';

/**
 * Every object's name. A name says which value it is, never who computed it, on which attempt or with how many workers
 * (docs/architecture.md). `track` is one sequence of rounds inside a run: a trial, or the final training.
 */
export interface TrackId {
  readonly run: string;
  readonly track: string;
}
export interface RecipeId extends TrackId {
  /** Digest of all that a value depends on besides its step. */
  readonly recipe: string;
}
/** Half-open: elements [start, end) of the flat vector, lanes [start, end) of the tree. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const span = ({ start, end }: Span) => `${start}-${end}`;
const trackOf = ({ run, track }: TrackId) => `runs/${run}/${track}`;
const stepOf = (id: RecipeId, step: number) => `${trackOf(id)}/${id.recipe}/steps/${step}`;

export const names = {
  /** Everything of one recipe's live steps, in the exchange. */
  steps: (id: RecipeId) => `${trackOf(id)}/${id.recipe}/steps/`,
  step: (id: RecipeId, step: number) => `${stepOf(id, step)}/`,
  /** Sum of gradients over the lanes of one tree node, cut to one parameter range. Computed at params `step`. */
  partial: (id: RecipeId, step: number, node: Span, range: Span) => `${stepOf(id, step)}/partials/${span(node)}/${span(range)}`,
  /** Squared gradient norms of a range's maximal block-tree nodes; only with global-norm clipping. */
  norm: (id: RecipeId, step: number, range: Span) => `${stepOf(id, step)}/norms/${span(range)}`,
  params: (id: RecipeId, step: number, range: Span) => `${stepOf(id, step)}/params/${span(range)}`,
  state: (id: RecipeId, step: number, range: Span) => `${stepOf(id, step)}/state/${span(range)}`,
  checkpointParams: (id: RecipeId, step: number, range: Span) => `${trackOf(id)}/${id.recipe}/checkpoints/${step}/params/${span(range)}`,
  checkpointState: (id: RecipeId, step: number, range: Span) => `${trackOf(id)}/${id.recipe}/checkpoints/${step}/state/${span(range)}`,
  /** What a lane holds back of its gradients, after so many steps. */
  checkpointLane: (id: RecipeId, step: number, lane: number) => `${trackOf(id)}/${id.recipe}/checkpoints/${step}/lanes/${lane}`,
  /** What a round is to do: decided once, before it starts. */
  plan: (id: TrackId, round: number) => `${trackOf(id)}/rounds/${round}/plan`,
  /** Where a round ended: the commit's decision. */
  manifest: (id: TrackId, round: number) => `${trackOf(id)}/rounds/${round}/manifest`,
  /** What all rounds of one recipe share: the job, the program, the recipe itself. */
  context: (id: RecipeId) => `${trackOf(id)}/${id.recipe}/context`,
  rounds: (id: TrackId) => `${trackOf(id)}/rounds/`,
  /** Losses of a stretch of committed steps. */
  curve: (id: TrackId, round: number) => `${trackOf(id)}/rounds/${round}/curve`,
  track: (id: TrackId) => `${trackOf(id)}/`,
  run: (run: string) => `runs/${run}/`,
  spec: (run: string, index: number) => `runs/${run}/specs/${index}`,
  /** Which lossy method a run takes, of those that its job allows. */
  method: (run: string, allowedDigest: string) => `runs/${run}/methods/${allowedDigest}`,
  record: (run: string) => `runs/${run}/record`,
  /** What a run's weights came to on data.validation, from time to time. */
  validations: (run: string) => `runs/${run}/validations`,
  /** Gradients that were timed before the first round, or why none were. */
  microProbe: (run: string) => `runs/${run}/micro-probe`,
  stageResult: (run: string, stage: string, inputDigest: string) => `runs/${run}/results/${stage}/${inputDigest}`,
  evaluation: (run: string, modelDigest: string, part: number) => `runs/${run}/evaluations/${modelDigest}/${part}`,
  /** A file that a job brought along, under its own digest. */
  source: (sha256: string, file: string) => `sources/${sha256}/${file}`,
  /** What the runs of a program have taught the scheduler, by where they ran. */
  learnt: (programDigest: string, place: string) => `programs/${programDigest}/learnt/${place}`,
  /** What the newest programs in one place have taught it, for others. */
  learntHere: (place: string) => `learnt/${place}`,
  program: (digest: string, file: string) => `programs/${digest}/${file}`,
  model: (name: string, version: string, file: string) => `models/${name}/${version}/${file}`,
} as const;

const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** @throws {SmltError} `InvalidName` when the id could not name a run. */
export function checkRunId(id: string): string {
  if (!RUN_ID.test(id))
    throw new SmltError(
      'InvalidName',
      `run id ${JSON.stringify(id)}: expected 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit`,
    );
  return id;
}

/** Names that a store accepts: relative, no empty or dot segments, no control characters, at most 900 bytes of printable ASCII. */
export function checkObjectName(name: string): string {
  const bad =
    name.length === 0 ||
    name.length > 900 ||
    !/^[\x21-\x7e]+$/.test(name) ||
    name.includes('\\') ||
    name.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (bad)
    throw new SmltError(
      'InvalidName',
      `object name ${JSON.stringify(name.slice(0, 120))}: expected segments of printable ASCII without spaces, joined by '/', none of them empty, '.' or '..'`,
    );
  return name;
}
