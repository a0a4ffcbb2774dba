/** The one vocabulary of failures: the same code in TypeScript, in a Temporal failure's `type` and in docs/errors.md. */
const catalogue = {
  InvalidSpec: { retryable: false, help: 'Fix what is named above. `smlt check JOB` checks a job and starts nothing.' },
  UnsupportedOperator: { retryable: false, help: 'Rewrite the model with the nearest supported form named above, then run `smlt check JOB`.' },
  InvalidModel: { retryable: false, help: 'Export the model again, then run `smlt check JOB`.' },
  ProgramFailed: { retryable: false, help: 'Fix the line of the program named above, then run `smlt check JOB`.' },
  PythonUnavailable: {
    retryable: false,
    help: 'Fix model.requirements, or name a Python that has the packages as model.interpreter.',
  },
  BadData: { retryable: false, help: 'Fix the data set named above and pack it again with `smlt data pack`.' },
  RunExists: { retryable: false, help: 'Choose another --run-id, or continue the existing run with `smlt resume RUN`.' },
  RunMissing: { retryable: false, help: 'Run `smlt list` to see the runs that this store knows.' },
  RunEnded: { retryable: false, help: 'Run `smlt status RUN` to see what it came to; `smlt resume RUN JOB` goes on with a changed job.' },
  InvalidName: { retryable: false, help: 'Use letters, digits, dot, dash and underscore.' },
  ObjectMissing: { retryable: true, help: 'Its writer may still be running. If this lasts, run `smlt doctor`.' },
  ObjectCorrupt: { retryable: true, help: 'The stored bytes fail their digest. Remove the object; its writer makes it again.' },
  VersionSkew: { retryable: false, help: 'Run every part with one version of smlt, or delete what the other version wrote.' },
  StoreUnavailable: { retryable: true, help: 'Check that the store is up, has space and lets you write; `smlt doctor` tests it.' },
  StoreDenied: { retryable: false, help: 'Check the credentials, the bucket and the permissions; `smlt doctor` tests them.' },
  StoreFull: { retryable: false, help: 'Free some space, then run `smlt resume RUN`: everything committed is kept.' },
  PlatformUnavailable: { retryable: true, help: 'The function platform is throttling or down; smlt tries again by itself.' },
  PlatformRefused: { retryable: false, help: 'The function platform refused the request; its own words are above.' },
  FunctionFailed: { retryable: false, help: 'Run `smlt logs RUN` to read what the function printed.' },
  NotDeterministic: {
    retryable: false,
    help: 'Two computations of one value differ. Set reproducibility to "values", or use hosts of one CPU model.',
  },
  Diverged: {
    retryable: false,
    help: 'The loss is not a finite number. Lower the learning rate or clip gradients; the last good checkpoint is kept.',
  },
  TemporalUnavailable: { retryable: true, help: 'Run `smlt doctor` to see where smlt looked for a Temporal server.' },
  AlreadyRunning: { retryable: false, help: 'Use the running one, or stop it: `smlt dev stop` ends smlt dev, `smlt stop RUN` a run.' },
  NotDeployed: { retryable: false, help: 'Deploy a model of that name first: give the job a `deploy` section and run it.' },
} as const satisfies Record<string, { retryable: boolean; help: string }>;

export type ErrorCode = keyof typeof catalogue;

/** The one error smlt throws on purpose. Across a wall compare `code`: classes do not survive serialisation. */
export class SmltError extends Error {
  override readonly name = 'SmltError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
  get help(): string {
    return catalogue[this.code].help;
  }
  get retryable(): boolean {
    return catalogue[this.code].retryable;
  }
}

/** True for a string that names an error of the catalogue: how a code read from outside becomes a type. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(catalogue, code);
}

export function isRetryable(code: ErrorCode): boolean {
  return catalogue[code].retryable;
}

/** A message as tools show it that know nothing of codes, such as Temporal's: with its code's help below, once. */
export function withHelp(code: ErrorCode, message: string): string {
  return `${withoutHelp(code, message)}\n${catalogue[code].help}`;
}

export function withoutHelp(code: ErrorCode, message: string): string {
  const { help } = catalogue[code];
  return message.endsWith(`\n${help}`) ? withoutHelp(code, message.slice(0, -help.length - 1)) : message;
}

/** The catalogue, for docs and tests. */
export const errorCodes = Object.keys(catalogue) as ErrorCode[];
