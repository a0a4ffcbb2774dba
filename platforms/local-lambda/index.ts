export { startLocalLambda, type InstanceStatus, type LocalLambda, type LocalLambdaOptions } from './server';
export type { FaultAction, FaultCount, FaultRule } from './faults';
export type { InvocationBill } from './report';
