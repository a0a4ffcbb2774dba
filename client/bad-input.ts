import { SmltError, type ErrorCode } from '../contracts/errors';

/** What a person did wrong, as opposed to what went wrong: exit code 2 of the CLI. */
const badInput: ReadonlySet<ErrorCode> = new Set(['InvalidSpec', 'UnsupportedOperator', 'InvalidModel', 'ProgramFailed', 'PythonUnavailable', 'BadData', 'RunExists', 'RunMissing', 'RunEnded', 'InvalidName', 'NotDeployed']); // prettier-ignore
export const isBadInput = (error: unknown): boolean => error instanceof SmltError && badInput.has(error.code);
