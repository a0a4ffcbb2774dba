import { SmltError } from '../../contracts/errors';
import type { SearchRange } from '../../contracts/job';

export type ParameterValue = number | string | boolean;
export type ParameterValues = Record<string, ParameterValue>;

/** One axis of the search: continuous ones are searched on [0, 1), choices by their index. */
export interface Axis {
  readonly name: string;
  /** Undefined for continuous axes. */
  readonly choices: number | undefined;
  /** @returns undefined when the value does not lie on the axis */
  toUnit(value: ParameterValue): number | undefined;
  fromUnit(unit: number): ParameterValue;
}

export function axisOf(name: string, range: SearchRange): Axis {
  if ('choice' in range) {
    const { choice } = range;
    return {
      name,
      choices: choice.length,
      toUnit: (value) => (choice.indexOf(value) < 0 ? undefined : choice.indexOf(value)),
      fromUnit: (index) => choice[Math.min(choice.length - 1, Math.max(0, Math.floor(index)))]!,
    };
  }
  if ('integer' in range) {
    const [low, high] = range.integer;
    const width = high - low + 1;
    return {
      name,
      choices: undefined,
      toUnit: (value) => within(typeof value === 'number' ? (value - low + 0.5) / width : NaN),
      fromUnit: (unit) => Math.min(high, low + Math.floor(unit * width)),
    };
  }
  const [low, high] = 'logUniform' in range ? range.logUniform.map(Math.log) : range.uniform;
  const back = 'logUniform' in range ? Math.exp : (x: number) => x;
  const forth = 'logUniform' in range ? Math.log : (x: number) => x;
  const [least, most] = 'logUniform' in range ? range.logUniform : range.uniform;
  return {
    name,
    choices: undefined,
    toUnit: (value) => within(typeof value === 'number' ? (forth(value) - low!) / (high! - low!) : NaN),
    // Six significant digits, so that people can read and type a trial's values.
    fromUnit: (unit) => Math.min(most, Math.max(least, Number(back(low! + unit * (high! - low!)).toPrecision(6)))),
  };
}
/** A value from outside the range, such as the job's own, still teaches: it lies at the border. */
const within = (unit: number): number | undefined => (Number.isNaN(unit) ? undefined : Math.min(1, Math.max(0, unit)));

/**
 * The job with values at nested paths such as `training.optimizer.learningRate`; the given job is not changed.
 * Parse the result again: the values may break a rule of the job. @throws {SmltError} `InvalidSpec` for a path that leads nowhere
 */
export function withParameters<J extends object>(job: J, values: ParameterValues): J {
  // Kinds first: what else is searched of a compression belongs to the kind that is tried.
  const kindsFirst = Object.entries(values).sort(([a], [b]) => Number(b === COMPRESSION_KIND) - Number(a === COMPRESSION_KIND));
  return kindsFirst.reduce<J>((changed, [path, value]) => {
    return path === COMPRESSION_KIND ? withCompression(changed, value) : setPath(changed, path.split('.'), value, path);
  }, job);
}
const COMPRESSION_KIND = 'synchronization.compression.kind';

/** A kind comes with its own defaults, since kinds share no settings; `none` takes the compression away. The job's own kind stays as it is. */
function withCompression<J extends { readonly synchronization?: { readonly compression?: unknown } }>(job: J, kind: ParameterValue): J {
  const { compression: own, ...synchronization } = job.synchronization ?? {};
  if (kind === 'none') return { ...job, synchronization };
  const isOwn = typeof own === 'object' && own !== null && (own as { kind?: unknown }).kind === kind;
  return { ...job, synchronization: { ...synchronization, compression: isOwn ? own : { kind } } };
}

function setPath<T extends object>(target: T, [key, ...rest]: string[], value: ParameterValue, path: string): T {
  if (key === undefined || !Object.hasOwn(target, key)) {
    // An optional last field, such as training.clipNorm, may be absent; a branch may not.
    if (key === undefined || rest.length > 0 || !/^[a-zA-Z]\w*$/.test(key) || key === 'constructor' || key === 'prototype') {
      throw new SmltError('InvalidSpec', `tune.parameters: the job has nothing at ${path}: expected the path of a number, text or truth value`);
    }
  }
  if (rest.length === 0) return { ...target, [key]: value };
  const child = (target as Record<string, unknown>)[key];
  if (typeof child !== 'object' || child === null || Array.isArray(child)) {
    throw new SmltError('InvalidSpec', `tune.parameters: ${path} goes on after ${key}, which is not an object in the job`);
  }
  return { ...target, [key]: setPath(child, rest, value, path) };
}
