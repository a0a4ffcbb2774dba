import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface BringOptions {
  /** Where the program is to be. */
  readonly target: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
}

/** Puts a program in its place whole and executable; two that install at once both end with a working one. */
export async function installProgram(bytes: Uint8Array, target: string): Promise<void> {
  const aside = `${target}.${process.pid}.new`;
  await mkdir(dirname(target), { recursive: true });
  try {
    await writeFile(aside, bytes);
    await chmod(aside, 0o755);
    await rename(aside, target);
  } finally {
    await rm(aside, { force: true });
  }
}
