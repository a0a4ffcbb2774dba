import { Connection } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { SmltError } from '../../contracts/errors';
import { searchAttributes } from '../../contracts/search-attributes';
import type { TemporalServer } from './given-server';
import { retryWhileOpen } from './retries';

/** @throws {SmltError} `TemporalUnavailable` naming the server and where its address came from */
export async function connectTo(server: TemporalServer): Promise<Connection> {
  try {
    return await open(server, '10s');
  } catch (error) {
    throw new SmltError(
      'TemporalUnavailable',
      `no Temporal server answers at ${server.address} (from ${server.source}): ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function open({ connectionOptions }: TemporalServer, connectTimeout: '2s' | '10s'): Promise<Connection> {
  return Connection.connect({ ...connectionOptions, interceptors: [retryWhileOpen], connectTimeout });
}

/** Resolves once the server answers for its namespace. */
export async function serverReady(server: TemporalServer): Promise<void> {
  for (;;) {
    try {
      const connection = await open(server, '2s');
      try {
        await connection.withDeadline(Date.now() + 2_000, () => connection.workflowService.describeNamespace({ namespace: server.namespace }));
        return;
      } finally {
        await connection.close();
      }
    } catch {
      await sleep(50);
    }
  }
}

export type SearchAttributeName = keyof typeof searchAttributes;

/** Which of smlt's search attributes the namespace lacks; all of them when it does not let us look. */
export async function missingSearchAttributes(connection: Connection, namespace: string): Promise<SearchAttributeName[]> {
  const all = Object.keys(searchAttributes) as SearchAttributeName[];
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    return all.filter((name) => !(name in (customAttributes ?? {})));
  } catch {
    return all;
  }
}

// temporal.api.enums.v1.IndexedValueType
const INDEXED_VALUE_TYPES = { Keyword: 2, Int: 3, Double: 4, Datetime: 6 } as const;

/** Changes the user's own server, so only `smlt dev --register` calls it. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<SearchAttributeName[]> {
  const missing = await missingSearchAttributes(connection, namespace);
  if (missing.length === 0) return missing;
  const types = Object.fromEntries(missing.map((name) => [name, INDEXED_VALUE_TYPES[searchAttributes[name]]]));
  try {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: types });
  } catch (error) {
    throw new SmltError(
      'TemporalUnavailable',
      `the server refused to register ${missing.join(', ')} in namespace ${namespace}: ${(error as Error).message}\nRuns work without them; whoever administers the namespace can add them.`,
      { cause: error },
    );
  }
  return missing;
}

/** Whether a worker polls for smlt's workflows: without one a run would wait and say nothing. */
export async function hasWorker(connection: Connection, namespace: string, taskQueue: string): Promise<boolean> {
  const { pollers } = await connection.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: 1 });
  const newest = Math.max(0, ...(pollers ?? []).map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000));
  return newest > Date.now() - 90_000; // a poll lasts a minute
}
