import { median, spread } from './statistics.mjs';

/** Within which a shape passes. */
const TOLERANCE = 0.25;

/** Collects claims with what was simulated. A claim that fails is reported as failing. */
export class Claims {
  list = [];

  /** The median of the seeds' values is within the tolerance. */
  near(claim, expected, values) {
    const got = [values].flat();
    this.list.push({ claim, expected: `${expected}`, got: spread(got), pass: Math.abs(median(got) / expected - 1) <= TOLERANCE });
  }
  holds(claim, expected, got, pass) {
    this.list.push({ claim, expected, got, pass });
  }
}
