/** What a worker is doing. */
export const doings = { starting: 0, computing: 1, moving: 2, waiting: 3, ended: 4 } as const;
/** What a worker's time goes into. */
const parts = ['compute', 'upload', 'merge', 'download', 'wait'] as const;
export type Part = (typeof parts)[number];
const INDEX = { compute: 0, upload: 1, merge: 2, download: 3, wait: 4 } as const satisfies Record<Part, number>;

/** A round's workers, one number each in typed arrays: what each has done, is doing, and has met. */
export class Crew {
  /** Steps of the round that the worker has made, and phases of the step that it is making. */
  readonly steps: Int32Array;
  readonly phases: Int8Array;
  /** A number of `doings`. */
  readonly doing: Int8Array;
  /** How often it was invoked in this round; what is due for an earlier invocation means nothing. */
  readonly invocation: Int32Array;
  /** Of its invocations in this round that have ended. */
  readonly billedMs: Float64Array;
  /** Of the running invocation: when it began (-1: none runs), its instance, how much slower that is, and its steps. */
  readonly startMs: Float64Array;
  readonly serial: Int32Array;
  readonly slowness: Float64Array;
  readonly stepsOfInvocation: Int32Array;
  readonly crashes: Int32Array;
  readonly refusals: Int32Array;
  readonly stepBeganMs: Float64Array;
  /** When its second copy was asked for; Infinity: it has none. */
  readonly copiedMs: Float64Array;
  readonly longestStepMs: Float64Array;
  /** The step whose lost value it wrote last, plus 1. */
  readonly rewritten: Int32Array;
  readonly #since: Float64Array;
  readonly #spentMs: Float64Array;

  constructor(
    readonly size: number,
    atMs: number,
  ) {
    this.steps = new Int32Array(size);
    this.phases = new Int8Array(size);
    this.doing = new Int8Array(size);
    this.invocation = new Int32Array(size);
    this.startMs = new Float64Array(size).fill(-1);
    this.billedMs = new Float64Array(size);
    this.serial = new Int32Array(size);
    this.slowness = new Float64Array(size).fill(1);
    this.stepsOfInvocation = new Int32Array(size);
    this.crashes = new Int32Array(size);
    this.refusals = new Int32Array(size);
    this.stepBeganMs = new Float64Array(size);
    this.copiedMs = new Float64Array(size).fill(Infinity);
    this.longestStepMs = new Float64Array(size);
    this.rewritten = new Int32Array(size);
    this.#since = new Float64Array(size).fill(atMs);
    this.#spentMs = new Float64Array(parts.length * size);
  }

  /** From here on its time counts. */
  startClock(worker: number, nowMs: number): void {
    this.#since[worker] = nowMs;
    this.stepBeganMs[worker] = nowMs;
  }
  /** Its time since the last call went into this part. @returns that time */
  spend(worker: number, part: Part, nowMs: number): number {
    const spentMs = nowMs - this.#since[worker]!;
    this.#spentMs[parts.length * worker + INDEX[part]]! += spentMs;
    this.#since[worker] = nowMs;
    return spentMs;
  }
  /** Times of the worker that computed longest. */
  slowestPartsMs(): Readonly<Record<Part, number>> {
    const spent = (worker: number, part: Part) => this.#spentMs[parts.length * worker + INDEX[part]]!;
    let slowest = 0;
    for (let worker = 1; worker < this.size; worker += 1) if (spent(worker, 'compute') > spent(slowest, 'compute')) slowest = worker;
    const of = (part: Part) => spent(slowest, part);
    return { compute: of('compute'), upload: of('upload'), merge: of('merge'), download: of('download'), wait: of('wait') };
  }
}
