import type { WeightsReference } from '../contracts/functions';
import { names, type TrackId } from '../contracts/names';
import type { Metrics, MetricName } from '../contracts/metrics';
import { ValidationCurve, type EarlyStopping, type Until, type ValidationMetric, type ValidationPoint } from '../contracts/validation';
import { bestPoint, judgeCurve, type Verdict } from '../scheduler';
import type { ObjectStore } from '../storage/object-store';
import type { EngineDependencies } from './dependencies';
import { encodeRecord, findRecord } from './records';

export interface ValidationQuestion extends WeightsReference {
  readonly step: number;
  readonly metrics: Metrics;
  readonly until?: Until | undefined;
  readonly earlyStopping?: EarlyStopping | undefined;
}
export interface Judged {
  readonly verdict: Verdict;
  readonly point: ValidationPoint;
  /** The weights to end with: the best ones where early stopping keeps them, else the newest. */
  readonly weights: WeightsReference;
}

export function createValidationActivities({ store }: EngineDependencies) {
  return {
    /** Adds a validation to the run's curve, and says whether training is to go on. Safe to repeat. */
    async judgeValidation({ run, track, round, step, metrics, until, earlyStopping }: ValidationQuestion): Promise<Judged> {
      const asked = [until, earlyStopping].flatMap((each) => (each ? [each.metric] : []));
      const valueOf = (metric: ValidationMetric) => metrics[metric.replace('validation.', '') as MetricName] ?? NaN;
      const kept = earlyStopping !== undefined;
      const point: ValidationPoint = { step, track, round, values: Object.fromEntries(asked.map((metric) => [metric, valueOf(metric)])), kept };
      const before = (await readPoints(store, run)).filter((each) => each.step < step);
      const points = [...before.map((each) => ({ ...each, kept: each.kept && kept })), point];
      await store.replace(names.validations(run), encodeRecord({ formatVersion: 1, points }));
      const best = (earlyStopping && bestPoint(points, earlyStopping)) ?? point;
      return { verdict: judgeCurve(points, { until, earlyStopping }), point, weights: { run, track: best.track, round: best.round } };
    },
  };
}

/** The step whose checkpoint a track keeps beside its newest, as a round's plan names it. */
export async function keptStep(store: ObjectStore, { run, track }: TrackId, earlyStopping: EarlyStopping | undefined): Promise<number | undefined> {
  const best = earlyStopping && bestPoint(await readPoints(store, run), earlyStopping);
  return best?.track === track ? best?.step : undefined;
}

async function readPoints(store: ObjectStore, run: string): Promise<ValidationPoint[]> {
  return (await findRecord(store, ValidationCurve, names.validations(run)))?.points ?? [];
}
