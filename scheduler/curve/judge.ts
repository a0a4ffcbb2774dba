import { smallerIsBetter } from '../../contracts/metrics';
import type { EarlyStopping, Until, ValidationMetric, ValidationPoint } from '../../contracts/validation';
import { forecastStep, type Forecast } from './forecast';

/** When to end a track whose end is not only a number of steps. */
export interface EndRules {
  readonly until?: Until | undefined;
  readonly earlyStopping?: EarlyStopping | undefined;
}
export type Verdict =
  /** `plannedStep`: where the rest of the work is taken to end when it is planned; left out while nothing can be told. */
  { readonly kind: 'goOn'; readonly plannedStep?: number; readonly note: string } | { readonly kind: 'reached' | 'stalled'; readonly note: string };

/** Before half of the forecast run: the 75th percentile of [0.7, 2] times the forecast on a logarithmic scale. Source: rules, section 5, rule 8. */
const EARLY_P75 = 0.7 * (2 / 0.7) ** 0.75;
/** After it, where 64 to 83 % of forecasts were within 25 %. */
const LATE_P75 = 1.15;

/** What a run's validations say: go on, and about how far, or end. Points by rising step, at least one. */
export function judgeCurve(points: readonly ValidationPoint[], { until, earlyStopping }: EndRules): Verdict {
  const last = points.at(-1)!;
  const notes: string[] = [];
  let plannedStep: number | undefined;
  if (until) {
    const value = valueOf(last, until.metric);
    if (isAtLeast(value, until.value, until.metric))
      return { kind: 'reached', note: `${until.metric} is ${shown(value)} at step ${last.step}: the ${shown(until.value)} that was asked for` };
    const forecast = forecastOf(points, until);
    plannedStep = forecast && plannedStepOf(forecast, last.step);
    notes.push(`${until.metric} ${shown(value)}, wanted ${shown(until.value)}${forecastText(forecast)}`);
  }
  if (earlyStopping) {
    const { metric, patience } = earlyStopping;
    const best = bestPoint(points, earlyStopping) ?? last;
    const since = points.filter(({ step }) => step > best.step).length;
    if (since >= patience)
      return {
        kind: 'stalled',
        note: `${metric} has not improved for ${patience} validations: ${shown(valueOf(best, metric))} at step ${best.step} is the best, and its weights are kept`,
      };
    notes.push(
      since === 0
        ? `${metric} ${shown(valueOf(last, metric))} is the best so far`
        : `${metric} ${shown(valueOf(last, metric))}, ${since} of ${patience} without improvement`,
    );
  }
  return { kind: 'goOn', ...(plannedStep === undefined ? {} : { plannedStep }), note: notes.join('; ') };
}

/** The point that no later one has beaten by more than minDelta, among those whose weights are still there. */
export function bestPoint(points: readonly ValidationPoint[], { metric, minDelta }: EarlyStopping): ValidationPoint | undefined {
  const sign = smallerIsBetter(metric) ? 1 : -1;
  return points
    .filter(({ kept, values }) => kept && values[metric] !== undefined)
    .reduce<ValidationPoint | undefined>(
      (best, point) => (best === undefined || sign * (valueOf(best, metric) - valueOf(point, metric)) > minDelta ? point : best),
      undefined,
    );
}

function forecastOf(points: readonly ValidationPoint[], { metric, value }: Until): Forecast | undefined {
  // What rises towards 1 is looked at as its distance from 1.
  const errorOf = (each: number) => (smallerIsBetter(metric) ? each : 1 - each);
  return forecastStep(
    points.filter(({ values }) => values[metric] !== undefined).map((point) => ({ step: point.step, error: errorOf(valueOf(point, metric)) })),
    errorOf(value),
  );
}

const plannedStepOf = ({ step }: Forecast, now: number): number | undefined =>
  Number.isFinite(step) ? Math.ceil(step * (now < step / 2 ? EARLY_P75 : LATE_P75)) : undefined;

function forecastText(forecast: Forecast | undefined): string {
  if (forecast === undefined) return '';
  const { step, secondOpinion } = forecast;
  if (!Number.isFinite(step)) return ', which its curve does not come to';
  const other = Number.isFinite(secondOpinion) ? `step ${secondOpinion}` : 'never';
  return `, by its curve about step ${step} (a power law says ${other})`;
}

const isAtLeast = (value: number, wanted: number, metric: string) => (smallerIsBetter(metric) ? value <= wanted : value >= wanted);
const valueOf = ({ values }: ValidationPoint, metric: ValidationMetric): number => values[metric] ?? NaN;
const shown = (value: number): string => Number(value.toPrecision(4)).toString();
