import { SmltError } from '../contracts/errors';
import type { Recompute } from '../contracts/recompute';

const MIB = 2 ** 20;

/** What a training function holds besides one lane's tensors. */
export interface Residents {
  /** Of parameters, running statistics and the loss together. */
  readonly vectorElements: number;
}

/** Node with the engine and ONNX Runtime, before a program is loaded. These figures are measured: docs/decisions/0021. */
const PROCESS_MIB = 115;
/** The arena's gaps, and what kernels take for themselves. */
const ARENA = 1.15;
/**
 * Flat vectors beside those that the graph reads and writes: sums along the tree, two of optimiser state, the next
 * parameters, onnxruntime-node's copy of a result, and what is being sent.
 */
const VECTORS = 6;

/** Peak resident memory of a function process, estimated before anything runs. Data shards come on top. @returns MiB */
export function residentMib(liveBytes: number, { vectorElements }: Residents): number {
  return PROCESS_MIB + (ARENA * liveBytes + VECTORS * vectorElements * Float32Array.BYTES_PER_ELEMENT) / MIB;
}

/** Of a function's memory, what an estimate may fill. The scheduler's own share. */
const SAFE_SHARE = 0.9;

/**
 * How far to compute intermediates again: as the job says, and else as far as the function's memory makes it necessary.
 * @param plainBytes  one lane's live tensors when everything is kept
 * @returns undefined: keep everything
 */
export function recomputation(
  plainBytes: number,
  residents: Residents,
  { recompute, memoryMib }: { readonly recompute?: Recompute | undefined; readonly memoryMib?: number | undefined },
): { readonly boundBytes: number | undefined } | undefined {
  if (recompute === false) return undefined;
  if (recompute === true) return { boundBytes: undefined };
  if (recompute) return plainBytes <= recompute.tensorsMib * MIB ? undefined : { boundBytes: recompute.tensorsMib * MIB };
  if (memoryMib === undefined) return undefined;
  const excessMib = residentMib(plainBytes, residents) - SAFE_SHARE * memoryMib;
  return excessMib <= 0 ? undefined : { boundBytes: Math.max(0, plainBytes - (excessMib * MIB) / ARENA) };
}

/** @throws {SmltError} `InvalidSpec` when a bound that the job names cannot be kept */
export function checkBound(recompute: Recompute | undefined, liveBytes: number): void {
  if (typeof recompute !== 'object' || liveBytes <= recompute.tensorsMib * MIB) return;
  throw new SmltError(
    'InvalidSpec',
    `training.recompute.tensorsMib: with everything computed again that can be, one lane's tensors take ${(liveBytes / MIB).toFixed(1)} MiB; got ${recompute.tensorsMib}. Raise it, lower training.batchSize or raise training.lanes`,
  );
}
