import { randomUUID } from 'node:crypto';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileFault, isAbsent } from './faults';
import { removeFile } from './value-file';

/** Below, a new file is as fast. */
const leastBytes = 16_384;
/** Long enough for the next step of a small model; with steps that take longer, nobody sees what memory costs. */
const keptMs = 5_000;
/** Names that are remembered at most, until they are deleted. */
const mostNames = 4_096;

interface Spare {
  readonly path: string;
  readonly sinceMs: number;
}

/**
 * Files of deleted values, for the next values of their size. A step deletes as much as it writes, and to write into fresh
 * memory costs six times what it costs to write over an old file's: the system finds, clears and frees every page
 * (docs/decisions/0075). Only what this process itself has written is kept, so it never holds more than it deletes in a
 * step. What it leaves when it dies is removed as an unfinished file is.
 */
export class SpareFiles {
  readonly #bytesOf = new Map<string, number>();
  readonly #spares = new Map<number, Spare[]>();
  #timer: NodeJS.Timeout | undefined;

  /** @param folder  for files that are nobody's value */
  constructor(private readonly folder: string) {}

  /** A path for a file that is written before it gets its name. */
  newPath(): string {
    return join(this.folder, `${process.pid}-${randomUUID()}`);
  }

  /** A file of so many bytes, to overwrite; it may be gone all the same. */
  take(bytes: number): string | undefined {
    return this.#spares.get(bytes)?.pop()?.path;
  }

  /** This process has just made the value at this path. */
  wrote(path: string, bytes: number): void {
    if (bytes < leastBytes) return;
    this.#bytesOf.delete(path);
    this.#bytesOf.set(path, bytes);
    if (this.#bytesOf.size > mostNames) for (const oldest of this.#bytesOf.keys()) return void this.#bytesOf.delete(oldest);
  }

  /** Takes a value's name away, and keeps the file where it may be of use. */
  retire(path: string): void {
    const bytes = this.#bytesOf.get(path);
    if (bytes === undefined) return removeFile(path);
    this.#bytesOf.delete(path);
    const spare = this.newPath();
    try {
      renameSync(path, spare);
    } catch (error) {
      if (isAbsent(error)) return removeFile(path);
      throw fileFault(error, path);
    }
    const spares = this.#spares.get(bytes) ?? [];
    this.#spares.set(bytes, spares);
    spares.push({ path: spare, sinceMs: performance.now() });
    this.#timer ??= setTimeout(() => this.#removeOld(), keptMs).unref();
  }

  /** Removes every spare file. False when there was none. */
  clear(): boolean {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const kept = [...this.#spares.values()].some((spares) => spares.length > 0);
    for (const spares of this.#spares.values()) for (const { path } of spares) removeFile(path);
    this.#spares.clear();
    return kept;
  }

  #removeOld(): void {
    const borderMs = performance.now() - keptMs;
    for (const [bytes, spares] of this.#spares) {
      const kept = spares.filter(({ sinceMs }) => sinceMs > borderMs);
      for (const spare of spares) if (!kept.includes(spare)) removeFile(spare.path);
      if (kept.length > 0) this.#spares.set(bytes, kept);
      else this.#spares.delete(bytes);
    }
    this.#timer = this.#spares.size > 0 ? setTimeout(() => this.#removeOld(), keptMs).unref() : undefined;
  }
}
