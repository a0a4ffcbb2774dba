import { names } from '../contracts/names';
import { RoundManifest } from '../contracts/round';
import { RunRecord } from '../contracts/pipeline';
import type { EngineDependencies } from './dependencies';
import { findRecord, readRecord } from './records';

const MANIFEST = /\/rounds\/\d+\/manifest$/;
const CHECKPOINT = /\/checkpoints\/\d+\//;

export function createCleanupActivities({ store, exchanges }: EngineDependencies) {
  return {
    /**
     * Deletes what an ended run no longer needs: all of it from the exchanges, and the checkpoints that no manifest names. Run at
     * the end, and again when the last instance must have ended, since one that is overtaken still writes.
     * @returns how many objects were deleted; nothing of a run that has been resumed meanwhile
     */
    async cleanRun({ run, endedAtMs }: { run: string; endedAtMs: number }): Promise<number> {
      const record = await findRecord(store, RunRecord, names.record(run));
      if (record && record.status === 'running' && record.updatedAtMs > endedAtMs) return 0;
      const volatile: string[] = [];
      for (const exchange of exchanges) {
        const found = await exchange.list(names.run(run));
        await exchange.delete(found);
        volatile.push(...found);
      }
      const durable = await store.list(names.run(run));
      const checkpoints = durable.filter((name) => CHECKPOINT.test(name));
      if (checkpoints.length === 0) return volatile.length;
      const manifests = await Promise.all(durable.filter((name) => MANIFEST.test(name)).map((name) => readRecord(store, RoundManifest, name)));
      const kept = new Set(manifests.flatMap(({ objects }) => objects.map(({ name }) => name)));
      const orphans = checkpoints.filter((name) => !kept.has(name));
      await store.delete(orphans);
      return volatile.length + orphans.length;
    },
  };
}
