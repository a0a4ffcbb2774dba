import type { Compression } from './compression';
import type { LocalSteps } from './synchronization';

/** The settings that make lanes keep something from step to step. */
export interface LaneKeeping {
  readonly compression?: Compression | undefined;
  readonly localSteps?: LocalSteps | undefined;
}

/**
 * What one lane keeps, in vectors as long as the parameters: first what it holds back of its gradients, where the compression
 * does that, then its own optimiser's two moments.
 */
export const laneVectors = ({ compression, localSteps }: LaneKeeping) => ({
  residuals: compression?.kind === 'top-k' || compression?.kind === 'significance' ? 1 : 0,
  moments: localSteps?.optimizer ? 2 : 0,
});

const vectorsOf = (keeping: LaneKeeping): number => {
  const { residuals, moments } = laneVectors(keeping);
  return residuals + moments;
};
export const keepsLaneStates = (keeping: LaneKeeping): boolean => vectorsOf(keeping) > 0;
/** Floats that one lane keeps. */
export const laneStateLength = (keeping: LaneKeeping, paramCount: number): number => vectorsOf(keeping) * paramCount;

/** What a worker of so many lanes keeps of their states: at two steps, or it would compute a step's lanes again whenever it resolves. */
export const laneStateBytes = (keeping: LaneKeeping, paramCount: number, lanes: number): number =>
  2 * Float32Array.BYTES_PER_ELEMENT * laneStateLength(keeping, paramCount) * lanes;

/** A state goes on where it means the same. */
export const sameLaneStates = (a: LaneKeeping, b: LaneKeeping): boolean =>
  a.compression?.kind === b.compression?.kind && a.localSteps?.optimizer?.kind === b.localSteps?.optimizer?.kind;
