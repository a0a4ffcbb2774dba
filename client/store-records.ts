import type { z } from 'zod';
import { SmltError } from '../contracts/errors';
import { names } from '../contracts/names';
import { RunRecord } from '../contracts/pipeline';
import type { ObjectStore } from '../storage';

/** A JSON record, or undefined when it was never written. @throws {SmltError} `VersionSkew` when another version of smlt wrote it */
export async function readJson<S extends z.ZodType>(store: ObjectStore, schema: S, name: string): Promise<z.output<S> | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await store.get(name);
  } catch (error) {
    if (error instanceof SmltError && error.code === 'ObjectMissing') return undefined;
    throw error;
  }
  const parsed = schema.safeParse(JSON.parse(Buffer.from(bytes).toString()));
  if (!parsed.success) throw new SmltError('VersionSkew', `${name} was written by another version of smlt: ${parsed.error.message}`);
  return parsed.data;
}

export const readRun = (store: ObjectStore, runId: string): Promise<RunRecord | undefined> => readJson(store, RunRecord, names.record(runId));

/** Every run's record, newest first. One of another version is left out rather than hiding the others. */
export async function listRuns(store: ObjectStore): Promise<RunRecord[]> {
  const records = (await store.list('runs/')).filter((name) => /^runs\/[^/]+\/record$/.test(name));
  const runs = await Promise.all(records.map((name) => readJson(store, RunRecord, name).catch(() => undefined)));
  return runs.filter((run) => run !== undefined).sort((a, b) => b.startedAtMs - a.startedAtMs);
}
