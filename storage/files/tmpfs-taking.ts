import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ExchangeTraffic, Taker, Taking, Wanted } from '../exchange';
import { checkRoom, exchangeFrames } from '../frame';
import { pathOfName } from '../inbox-paths';
import type { InboxListener, InboxWatch } from './inbox-watch';
import { readWhole } from './value-file';

/** A watch is only a hint: who waits also looks for itself. */
const recheckMs = 25;

interface Inbox {
  readonly listener: InboxListener;
  /** By file, what is missing. */
  readonly files: Map<string, Wanted>;
}

/**
 * Takes values as the watches of their folders tell of them; a watch stands for as long as the taking does. What came before
 * is found when somebody begins to wait, and at every glance.
 */
export class TmpfsTaking implements Taking {
  private readonly inboxes = new Map<string, Inbox>();
  private missing = 0;
  private attended = false;
  private due = false;
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly root: string,
    private readonly watch: InboxWatch,
    private readonly traffic: ExchangeTraffic,
    private readonly taker: Taker,
  ) {}

  want(values: readonly Wanted[]): void {
    this.traffic.requests++;
    for (const wanted of values) {
      const { folder, file } = pathOfName(wanted.name);
      const files = this.inboxOf(join(this.root, folder)).files;
      if (!files.has(file)) this.missing++;
      files.set(file, wanted);
    }
    if (this.attended) this.lookSoon();
  }

  glance(): void {
    this.lookAtAll();
  }

  attend(waits: boolean): void {
    this.attended = waits;
    clearTimeout(this.timer);
    this.timer = undefined;
    if (waits) this.lookSoon();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.attend(false);
    for (const [folder, { listener }] of this.inboxes) this.watch.unlisten(folder, listener);
    this.inboxes.clear();
  }

  private inboxOf(folder: string): Inbox {
    const known = this.inboxes.get(folder);
    if (known) return known;
    const files = new Map<string, Wanted>();
    const listener: InboxListener = (file) => {
      if (file === undefined) this.lookAtAll();
      else if (files.has(file)) this.look(folder, files, file);
    };
    const inbox = { files, listener };
    this.inboxes.set(folder, inbox);
    this.watch.listen(folder, listener);
    return inbox;
  }

  /** Whoever has just begun to wait hears of what is there, but not in the middle of beginning. */
  private lookSoon(): void {
    if (this.due) return;
    this.due = true;
    queueMicrotask(() => {
      this.due = false;
      if (!this.attended) return;
      this.lookAtAll();
      this.timer ??= setTimeout(() => this.recheck(), recheckMs);
    });
  }

  private recheck(): void {
    this.timer = undefined;
    for (const [folder, { listener, files }] of this.inboxes) if (files.size > 0) this.watch.listen(folder, listener);
    this.lookAtAll();
    if (this.attended && !this.stopped) this.timer = setTimeout(() => this.recheck(), recheckMs);
  }

  private lookAtAll(): void {
    if (this.missing === 0) return;
    for (const [folder, { files }] of this.inboxes) for (const file of files.keys()) this.look(folder, files, file);
  }

  private look(folder: string, files: Map<string, Wanted>, file: string): void {
    if (this.stopped) return;
    const path = join(folder, file);
    const wanted = files.get(file);
    if (!wanted || !existsSync(path)) return;
    files.delete(file);
    this.missing--;
    try {
      if (this.read(wanted, path)) return this.taker.taken(wanted.name);
      files.set(file, wanted);
      this.missing++;
      this.taker.gone(wanted.name);
    } catch (error) {
      this.stopped = true;
      this.taker.failed(error);
    }
  }

  /** False when it is not there any more, or was corrupt. */
  private read({ name, bytes, room }: Wanted, path: string): boolean {
    if (!room) return true;
    const stored = readWhole(path, (length) => (bytes === undefined || bytes === length ? room(length) : undefined));
    if (!stored) return false;
    if (bytes !== undefined) checkRoom(stored, { byteLength: bytes }, name);
    this.traffic.requests++;
    this.traffic.gets++;
    this.traffic.bytesRead += exchangeFrames.headerBytes + stored.bytes;
    return true;
  }
}
