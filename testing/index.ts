/** For tests of your own: the embedded Lambda server, with its fault plan and its bills. */
export { startLocalLambda } from '../platforms/local-lambda';
export type { FaultAction, FaultRule } from '../platforms/local-lambda/faults';
