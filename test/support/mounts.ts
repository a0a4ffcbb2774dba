import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireBackend } from './require';

/** Small and read-only file systems, for tests of full and write-protected disks. */
export interface Mounts {
  /** A file system in memory of so many KiB. */
  small(kib: number): string;
  /** The same folder again, write-protected. */
  readOnly(folder: string): string;
  release(): void;
}

function openMounts(): Mounts {
  const parent = mkdtempSync(join(tmpdir(), 'smlt-mounts-'));
  const mounted: string[] = [];
  const mount = (...args: string[]) => {
    const folder = join(parent, String(mounted.length));
    mkdirSync(folder);
    execFileSync('mount', [...args, folder], { stdio: 'pipe' });
    mounted.push(folder);
    return folder;
  };
  return {
    small: (kib) => mount('-t', 'tmpfs', '-o', `size=${kib}k`, 'tmpfs'),
    readOnly(folder) {
      const copy = mount('--bind', folder);
      execFileSync('mount', ['-o', 'remount,bind,ro', copy], { stdio: 'pipe' });
      return copy;
    },
    release() {
      for (const folder of mounted.reverse()) execFileSync('umount', [folder], { stdio: 'pipe' });
      rmSync(parent, { recursive: true, force: true });
    },
  };
}

function findMounts(): (() => Mounts) | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const mounts = openMounts();
  try {
    mounts.small(64);
    return openMounts;
  } catch {
    return undefined; // root of a container that may not mount
  } finally {
    mounts.release();
  }
}

export const mountsBackend = requireBackend('mounts', findMounts, 'run the tests as root on Linux, in a container with --cap-add SYS_ADMIN');
