import { Client, type Connection } from '@temporalio/client';
import { statSync } from 'node:fs';
import type { Home } from '../home';
import { connectTo } from '../temporal/connection';
import type { TemporalServer } from '../temporal/given-server';
import { isAlive, type ProcessId } from './processes';

const LOOK_MS = 15_000;

interface IdleWatch {
  readonly home: Home;
  readonly temporal: TemporalServer;
  readonly idleMs: number;
  readonly whileAlive?: ProcessId;
  readonly onIdle: (reason: string) => void;
}

/** Reports when nobody needs a background server any more: no run is open and no command came, or its owner is gone. */
export function watchIdle({ home, temporal, idleMs, whileAlive, onIdle }: IdleWatch): () => void {
  let busyAtMs = Date.now();
  let connection: Connection | undefined;
  let looking = false;
  const look = async () => {
    if (whileAlive && !isAlive(whileAlive)) return onIdle('the command that it was started for has ended');
    connection ??= await connectTo(temporal);
    const { count } = await new Client({ connection, namespace: temporal.namespace }).workflow.count(
      `ExecutionStatus = "Running" AND WorkflowType != "cleanup"`,
    );
    if (count > 0) busyAtMs = Date.now();
    const usedAtMs = Math.max(busyAtMs, modifiedMs(home.lastUsedFile));
    if (Date.now() - usedAtMs >= idleMs)
      onIdle(`nothing ran for ${idleMs < 120_000 ? `${idleMs / 1_000} s` : `${Math.round(idleMs / 60_000)} minutes`}`);
  };
  const lookAgain = async () => {
    if (looking) return; // it waits for a connection, and one is enough
    looking = true;
    // A server that does not answer now is being restarted; the next look finds it.
    await look().catch(() => undefined);
    looking = false;
  };
  const timer = setInterval(() => void lookAgain(), Math.min(LOOK_MS, Math.max(200, idleMs / 4), whileAlive ? 1_000 : LOOK_MS));
  return () => {
    clearInterval(timer);
    void connection?.close();
  };
}

function modifiedMs(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
