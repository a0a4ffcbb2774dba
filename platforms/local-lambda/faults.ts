import { z } from 'zod';

/**
 * What goes wrong. `kill`: that long after the function got its event. `killAt`, `holdAt`: when the function passes a point that
 * it names (functions/fault-points.ts), at that step or, left out, the first time. `dropConnection`: the function runs, its caller hears nothing.
 */
export const FaultAction = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('kill'), afterMs: z.number().min(0) }),
  z.strictObject({ kind: z.literal('killBeforeResponse') }),
  z.strictObject({ kind: z.literal('killAt'), point: z.string(), step: z.int().optional() }),
  z.strictObject({ kind: z.literal('holdAt'), point: z.string(), step: z.int().optional(), ms: z.number().min(0) }),
  z.strictObject({ kind: z.literal('delay'), ms: z.number().min(0) }),
  z.strictObject({ kind: z.literal('throttle') }),
  z.strictObject({ kind: z.literal('serverError') }),
  z.strictObject({ kind: z.literal('dropConnection') }),
]);
export type FaultAction = z.output<typeof FaultAction>;

export const FaultRule = z.strictObject({
  /** Function name; `*` stands for any characters. */
  function: z.string().default('*'),
  /** Fields the payload must have, by name or dotted path: `{ worker: 1, round: 3 }`. */
  payload: z.record(z.string(), z.unknown()).default({}),
  /** The first matching invocation it strikes, counted from 1, and how many in a row: bounded, unless said otherwise. */
  nth: z.int().min(1).default(1),
  times: z.int().min(1).default(1),
  action: FaultAction,
});
export type FaultRule = z.input<typeof FaultRule>;
export const FaultPlan = z.array(FaultRule);

export interface FaultCount {
  readonly rule: z.output<typeof FaultRule>;
  readonly matched: number;
  readonly fired: number;
}

/** Decides, for each invocation in turn, which fault strikes it. */
export class Faults {
  private rules: { rule: z.output<typeof FaultRule>; matched: number; fired: number }[] = [];

  set(plan: readonly FaultRule[]): void {
    this.rules = FaultPlan.parse(plan).map((rule) => ({ rule, matched: 0, fired: 0 }));
  }

  counts(): FaultCount[] {
    return this.rules.map((entry) => ({ ...entry }));
  }

  next(functionName: string, payload: Uint8Array): FaultAction | undefined {
    if (this.rules.length === 0) return undefined;
    let event: unknown;
    try {
      event = JSON.parse(Buffer.from(payload).toString('utf8'));
    } catch {
      event = undefined;
    }
    let chosen: FaultAction | undefined;
    for (const entry of this.rules) {
      const { rule } = entry;
      if (!glob(rule.function).test(functionName)) continue;
      if (!Object.entries(rule.payload).every(([path, value]) => JSON.stringify(valueAt(event, path)) === JSON.stringify(value))) continue;
      entry.matched += 1;
      if (chosen || entry.matched < rule.nth || entry.matched >= rule.nth + rule.times) continue;
      entry.fired += 1;
      chosen = rule.action;
    }
    return chosen;
  }
}

const glob = (pattern: string): RegExp => new RegExp(`^${pattern.split('*').map(escapeText).join('.*')}$`);
function escapeText(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key], value);
}
