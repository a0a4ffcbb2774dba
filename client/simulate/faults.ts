import { SmltError } from '../../contracts/errors';
import { Faults, noFaults, type Change } from '../../scheduler/simulator';
import { durationMs, Duration } from '../../contracts/units';

const names = Object.keys(noFaults);

/**
 * `crashesPerHour=2,stragglers=0.05`, `none`, or `none,crashesPerHour=2`: changes of what usually goes wrong.
 * @throws {SmltError} `InvalidSpec` for a fault that there is not, or a number out of range
 */
export function parseFaults(text: string | undefined): Faults {
  const parts = (text ?? '').split(',').filter((part) => part !== '');
  const asked: Record<string, number> = {};
  for (const part of parts) {
    if (part === 'none' && part === parts[0]) {
      Object.assign(asked, noFaults);
      continue;
    }
    const [name = '', value = '', ...more] = part.split('=');
    if (!names.includes(name)) throw refused(`${name} is no fault`, `there are ${names.join(', ')}, and none for a world without them`);
    if (value.trim() === '' || more.length > 0 || !Number.isFinite(Number(value))) throw refused(`${part}: expected a number`, `such as ${name}=0.1`);
    asked[name] = Number(value);
  }
  const parsed = Faults.safeParse(asked);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw refused(`${issue!.path.join('.')}=${asked[String(issue!.path[0])]}`, issue!.message);
}

/**
 * `10m:1.5`: from ten minutes on everything takes 1.5 times as long; `1.5` from the beginning.
 * @throws {SmltError} `InvalidSpec`
 */
export function parseChange(text: string, kind: 'compute' | 'exchange'): Change {
  const [from, factor] = text.includes(':') ? (text.split(':', 2) as [string, string]) : ['0s', text];
  const option = kind === 'compute' ? '--slower' : '--slower-exchange';
  const value = Number(factor);
  if (!Duration.safeParse(from).success || factor.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new SmltError('InvalidSpec', `${option} ${text}: expected a factor, or a time and a factor, such as 10m:1.5`);
  return { atMs: durationMs(from), [kind]: value };
}

const refused = (what: string, how: string) => new SmltError('InvalidSpec', `--faults: ${what}; ${how}`);
