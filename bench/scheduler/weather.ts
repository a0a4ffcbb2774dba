// What goes wrong in one job, and what a round then really takes and costs: the money promise has to hold in any weather.
import type { ObservationInput } from '../../contracts/scheduling';
import { uniformStream } from '../../scheduler/random';
import type { Shock } from './job';

export interface Weather {
  /** How compute and exchange have moved once this share of the steps is done: slowly drifting, and a blow at some point. */
  shockAt(doneShare: number): Shock;
  /** A round as it went, with its stragglers, deaths and lost objects, all of them billed. */
  disturb(seen: ObservationInput): ObservationInput;
}

const between = (draw: () => number, low: number, high: number) => low * (high / low) ** draw();

/** Every job has its own weather, from calm to worse than any cloud should be. */
export function weatherOf(seed: number): Weather {
  const draw = uniformStream(seed, 0x3ea7);
  const severity = draw();
  const blow = { at: draw(), compute: 1 + 2 * severity * draw(), sync: 1 + 4 * severity * draw() };
  const drift = { compute: severity * draw(), sync: severity * draw() };
  const stragglers = 0.15 * severity;
  const deathsPerWorker = 0.01 * severity * severity;
  const lossesPerRound = 0.2 * severity;
  const cutsPerRound = 0.1 * severity;
  return {
    shockAt: (done) => ({
      compute: (1 + drift.compute * done) * (done >= blow.at ? blow.compute : 1),
      sync: (1 + drift.sync * done) * (done >= blow.at ? blow.sync : 1),
    }),
    disturb(seen) {
      const { round, allocation } = seen;
      const draws = uniformStream(seed, 0xfa17, round, allocation.workers, allocation.memoryMib);
      // A straggler holds all the others up for the whole round.
      let slower = draws() < stragglers ? between(draws, 1.2, 2.5) : 1;
      // Lost objects: a share of the steps is computed and exchanged again.
      if (draws() < lossesPerRound) slower *= 1 + 0.5 * draws();
      // The first death holds everybody up for its successor's start; every death loses what its function had not yet published.
      const deaths = Array.from({ length: allocation.workers }, draws).filter((chance) => chance < deathsPerWorker).length;
      if (deaths > 0) slower *= 1 + 0.1 * draws() * Math.min(deaths, 3);
      // A round cut short has been billed for all its time, and keeps a part of its steps.
      const kept = draws() < cutsPerRound ? draws() : 1;
      return {
        ...seen,
        steps: Math.floor(seen.steps * kept),
        stepMs: seen.stepMs * slower,
        ...(seen.parts && { parts: { ...seen.parts, waitMs: seen.parts.waitMs + seen.stepMs * (slower - 1) } }),
        wallMs: seen.wallMs * slower,
        billedNanoUsd: Math.ceil(seen.billedNanoUsd * slower),
        cold: seen.cold || deaths > 0,
      };
    },
  };
}
