export type { FunctionModel, RoundModel } from './function-model';
export { SimulatedPlatform, type Objects, type SimulatedBill, type SimulatedPlatformOptions } from './simulated-platform';
export type { VirtualClock } from './virtual-clock';
