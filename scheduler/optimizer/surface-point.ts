/** Where an option lies, as models of its time see it. */
export interface SurfacePlace {
  /** Terms that a time may be a sum of. */
  readonly features: readonly number[];
  /** Settings between 0 and 1. */
  readonly at: readonly number[];
  /** Logarithms of the settings by whose powers a time may scale: workers, speed. */
  readonly logs: readonly number[];
}
/** One measured point of an unknown surface. */
export interface SurfacePoint extends SurfacePlace {
  readonly value: number;
}
/** Mean and variance of the logarithm, noise of a measurement included. */
export type Surface = (place: SurfacePlace) => { readonly logMean: number; readonly variance: number };
