import { utimesSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Home } from '../home';
import { readJson } from './files';
import { isAlive } from './processes';

const ProcessId = z.object({ pid: z.int(), startedAs: z.string() });

/** `dev.json`: where everything of a running `smlt dev` is. Written whole at every change. */
export const DevState = z.object({
  formatVersion: z.literal(1),
  version: z.string(),
  state: z.enum(['starting', 'ready', 'ending']),
  startedAtMs: z.number(),
  supervisor: ProcessId,
  background: z.boolean(),
  temporal: z.object({ address: z.string(), namespace: z.string(), uiUrl: z.string().nullable(), own: z.boolean(), program: z.string().nullable() }),
  lambdaEndpoint: z.string(),
  storeUri: z.string(),
  exchangeUri: z.string(),
  processes: z.partialRecord(z.enum(['temporal', 'lambda', 'worker']), ProcessId),
});
export type DevState = z.output<typeof DevState>;

/** What the last `smlt dev` of this home wrote, whether it lives or not. */
export function readDevState(home: Home): DevState | undefined {
  const parsed = DevState.safeParse(readJson(home.devFile));
  return parsed.success ? parsed.data : undefined;
}

/** The running dev server of this home, if it lives. */
export function runningDev(home: Home): DevState | undefined {
  const state = readDevState(home);
  return state && isAlive(state.supervisor) ? state : undefined;
}

/** Says that somebody uses the dev server, so that it does not end as idle. */
export function touchLastUsed(home: Home): void {
  const now = new Date();
  try {
    utimesSync(home.lastUsedFile, now, now);
  } catch {
    try {
      writeFileSync(home.lastUsedFile, '');
    } catch {
      // A home that cannot be written is reported by whoever needs to write to it.
    }
  }
}
