import { SmltError } from '../../contracts/errors';
import { exchangeFrames, type FrameHeader } from '../frame';
import { chunkBytes, chunkCount, headerOf } from './redis-format';
import type { RedisKeys } from './redis-keys';
import type { RespConnection, RespReply } from './resp-connection';
import type { Window } from './window';

const { headerBytes } = exchangeFrames;

export interface ReadPlan {
  readonly name: string;
  /** Of the value; left out: known when it comes. */
  readonly bytes?: number | undefined;
  readonly room: (bytes: number) => Uint8Array;
}
/** The value, where its room was; undefined when it is not there; else why it cannot be read. */
export type ReadOutcome = Uint8Array | undefined | Error;

/**
 * Reads one value, its head and then what more it has, each straight to where it goes.
 * @param done  told once, when nothing is on its way into the room any more
 */
export function readValue(redis: RespConnection, keys: RedisKeys, window: Window, plan: ReadPlan, done: (outcome: ReadOutcome) => void): void {
  new ValueRead(redis, keys, window, plan, done).begin();
}

class ValueRead {
  private readonly header = new Uint8Array(headerBytes);
  private value: Uint8Array = new Uint8Array();
  private failure: Error | undefined;

  constructor(
    private readonly redis: RespConnection,
    private readonly keys: RedisKeys,
    private readonly window: Window,
    private readonly plan: ReadPlan,
    private readonly done: (outcome: ReadOutcome) => void,
  ) {}

  begin(): void {
    const { bytes = chunkBytes, name } = this.plan;
    this.get(
      this.keys.head(name),
      Math.min(bytes, chunkBytes),
      (length) => this.headRoom(length),
      (reply) => this.hasHead(reply),
    );
  }

  private get(key: string, bytes: number, room: (length: number) => readonly Uint8Array[], then: (reply: RespReply | Error) => void): void {
    this.window.enter(bytes, () =>
      this.redis.send(['GET', key], room, (reply) => {
        this.window.leave(bytes);
        then(reply);
      }),
    );
  }

  private headRoom(length: number): readonly Uint8Array[] {
    if (length < headerBytes) return [new Uint8Array(length)];
    const first = length - headerBytes;
    const { bytes } = this.plan;
    if (bytes === undefined ? first < chunkBytes : first === Math.min(bytes, chunkBytes)) this.value = this.roomFor(bytes ?? first);
    if (this.value.byteLength < first) this.value = new Uint8Array(first);
    return [this.header, this.value.subarray(0, first)];
  }

  /** Bytes that find no room are read all the same: the connection goes on. */
  private roomFor(bytes: number): Uint8Array {
    try {
      return this.plan.room(bytes);
    } catch (error) {
      this.failure = error as Error;
      return new Uint8Array(bytes);
    }
  }

  private hasHead(reply: RespReply | Error): void {
    if (reply === null || reply instanceof Error) return this.done(reply ?? undefined);
    const { name, bytes } = this.plan;
    try {
      if (this.failure) throw this.failure;
      const stored = headerOf(this.header, Number(reply), name);
      if (bytes !== undefined && stored.bytes !== bytes)
        throw new RangeError(`${name}: the value has ${stored.bytes} bytes, its reader has room for ${bytes}`);
      if (stored.bytes <= chunkBytes) this.finish(stored);
      else this.readChunks(stored);
    } catch (error) {
      this.done(error as Error);
    }
  }

  private readChunks(stored: FrameHeader): void {
    if (this.value.byteLength !== stored.bytes) {
      const first = this.value;
      this.value = this.plan.room(stored.bytes);
      this.value.set(first);
    }
    const count = chunkCount(stored.bytes) - 1;
    let due = count;
    for (let i = 1; i <= count; i++) {
      const chunk = this.value.subarray(i * chunkBytes, (i + 1) * chunkBytes);
      // A part of another length cannot be the right one: it is read past the value.
      const room = (length: number) => [length === chunk.byteLength ? chunk : new Uint8Array(length)];
      this.get(this.keys.chunk(this.plan.name, stored.digest, i), chunk.byteLength, room, (reply) => {
        if (reply instanceof Error) this.failure ??= reply;
        else if (reply !== chunk.byteLength)
          this.failure ??= new SmltError('ObjectCorrupt', `${this.plan.name}: part ${i + 1} of ${count + 1} is not there, or cut`);
        if (--due > 0) return;
        try {
          if (this.failure) throw this.failure;
          this.finish(stored);
        } catch (error) {
          this.done(error as Error);
        }
      });
    }
  }

  private finish(stored: FrameHeader): void {
    exchangeFrames.checkValue(this.value, stored, this.plan.name);
    this.done(this.value);
  }
}
