import type { AllocationShape } from '../../contracts/allocation';
import type { Compression } from '../../contracts/compression';
import type { ExchangeKind, ExchangeOption } from '../../contracts/exchange';
import type { LocalSteps, Topology } from '../../contracts/synchronization';

/** The part of an allocation that sets a step's time. */
export type Shape = AllocationShape;
/** What one step is made of, whoever runs it. */
export interface Workload {
  readonly paramCount: number;
  readonly bufferCount: number;
  readonly batchSize: number;
  readonly lanes: number;
  /** Of the allocation that is asked about. */
  readonly laneUnit?: number | undefined;
  /** One sample, forward and backward, on one vCPU: the prior's guess. */
  readonly sampleMs: number;
  /** Share of the compute that more than one vCPU speeds up. */
  readonly parallelShare: number;
  readonly totalCores: number;
  /** What an allocation that names no exchange goes over. */
  readonly exchange: ExchangeKind;
  /** Those that allocations name. */
  readonly exchanges?: readonly ExchangeOption[] | undefined;
  /** Servers of the exchange. */
  readonly shards?: number | undefined;
  readonly topology: Topology;
  /** Fixed by the job; left out, the scheduler chooses. */
  readonly groups?: number | undefined;
  readonly compression?: Compression | undefined;
  readonly localSteps?: LocalSteps | undefined;
}
