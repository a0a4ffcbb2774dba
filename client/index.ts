/** smlt's SDK: start runs, follow them, change their goal, stop and resume them. The CLI is its first user. */
export { connect, type ConnectOptions } from './connect';
export { Smlt, type ResumeOptions, type StartOptions } from './smlt';
export { RunHandle } from './run-handle';
export { checkJob, type CheckedJob } from './check-job';
export { readJobFile } from './job-file';
export { parseJob, type Job, type JobInput } from '../contracts/job';
export type { GoalChange, RunRecord } from '../contracts/pipeline';
export { SmltError, type ErrorCode } from '../contracts/errors';
