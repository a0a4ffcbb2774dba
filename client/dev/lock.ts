import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { fileError, readJson } from './files';
import { identify, isAlive, type ProcessId } from './processes';

const Holder = z.object({ pid: z.int(), startedAs: z.string() });

/** Who holds the lock and lives; undefined when nobody does. */
export function lockHolder(lockFile: string): ProcessId | undefined {
  const holder = Holder.safeParse(readJson(lockFile));
  return holder.success && isAlive(holder.data) ? holder.data : undefined;
}

/**
 * One dev server a home. The lock appears whole (`link` never overwrites), and that of a dead holder is taken over:
 * whoever moves it away checks that it moved the dead one, not the lock of somebody faster.
 * @throws {SmltError} `AlreadyRunning`
 */
export function acquireLock(lockFile: string): () => void {
  const aside = `${lockFile}.${process.pid}`;
  const own = identify(process.pid);
  try {
    writeFileSync(aside, JSON.stringify(own));
    for (;;) {
      try {
        linkSync(aside, lockFile);
        return () => {
          const holder = Holder.safeParse(readJson(lockFile));
          if (holder.success && holder.data.pid === own.pid && holder.data.startedAs === own.startedAs) rmSync(lockFile, { force: true });
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = lockHolder(lockFile);
      if (holder) throw new SmltError('AlreadyRunning', `smlt dev is already running in this home (process ${holder.pid}).`);
      removeDeadLock(lockFile);
    }
  } catch (error) {
    throw error instanceof SmltError ? error : fileError(error, 'write', lockFile);
  } finally {
    rmSync(aside, { force: true });
  }
}

function removeDeadLock(lockFile: string): void {
  const away = `${lockFile}.dead.${process.pid}`;
  try {
    renameSync(lockFile, away);
    if (lockHolder(away)) linkSync(away, lockFile);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    rmSync(away, { force: true });
  }
}
