import type { ExchangeTraffic } from '../exchange';
import { exchangeFrames, type FrameHeader } from '../frame';
import type { HttpHead } from '../http/answer-reader';
import { absentIfCorrupt } from '../once';
import { allThrough } from '../several';
import { isMissing, isPast } from './s3-faults';
import type { Looking, S3Requests } from './s3-requests';

/** Read at once by one request: larger values come in so many parallel ones. Source: AWS's advice is 8 to 16 MiB. */
const rangeBytes = 8 * 2 ** 20;
const { headerBytes } = exchangeFrames;

/** Where a value of so many bytes goes; undefined when its reader has no room of that length. */
export type ValueRoom = (bytes: number) => Uint8Array | undefined;

/**
 * Reads values straight into their readers' memory. The first answer says how long the value is: what is behind its range
 * is asked for while that is still coming.
 */
export class S3Reader {
  constructor(
    private readonly requests: S3Requests,
    private readonly traffic: ExchangeTraffic,
  ) {}

  /**
   * What is read, whether or not there was room for it; undefined when it is not there (any more).
   * @param onFound  told when something is there, before it is read
   */
  async read(name: string, roomFor: ValueRoom, looking: Looking, onFound?: () => void): Promise<FrameHeader | undefined> {
    const header = Buffer.alloc(headerBytes);
    let value: Uint8Array | undefined;
    /** By its room: an answer that breaks off is asked for again. */
    const rests = new Map<Uint8Array, Promise<boolean>>();
    const first = this.range(name, [0, headerBytes + rangeBytes], looking, (bytes, total) => {
      onFound?.();
      value = total >= headerBytes ? roomFor(total - headerBytes) : undefined;
      if (!value) return [header.subarray(0, Math.min(bytes, headerBytes)), new Uint8Array(Math.max(0, bytes - headerBytes))];
      if (!rests.has(value)) rests.set(value, this.rest(name, value, looking));
      return [header, value.subarray(0, bytes - headerBytes)];
    });
    return this.orAbsent(name, async () => {
      const total = await first.finally(() => Promise.allSettled(rests.values()));
      if (total === undefined) return undefined;
      if (total === 0) onFound?.();
      const stored = exchangeFrames.parseHeader(header.subarray(0, Math.min(total, headerBytes)), total, name);
      if (value) {
        if (!(await rests.get(value))) return undefined;
        exchangeFrames.checkValue(value, stored, name);
      }
      this.traffic.bytesRead += headerBytes + stored.bytes;
      return stored;
    });
  }

  async header(name: string, looking: Looking): Promise<FrameHeader | undefined> {
    return this.orAbsent(name, async () => {
      const header = Buffer.alloc(headerBytes);
      const total = await this.range(name, [0, headerBytes], looking, (bytes) => [header.subarray(0, bytes)]);
      return total === undefined ? undefined : exchangeFrames.parseHeader(header.subarray(0, Math.min(total, headerBytes)), total, name);
    });
  }

  /** Everything behind the first range. False when it is not there any more. */
  private async rest(name: string, value: Uint8Array, looking: Looking): Promise<boolean> {
    const starts: number[] = [];
    for (let start = rangeBytes; start < value.byteLength; start += rangeBytes) starts.push(start);
    const read = await allThrough(
      starts.map((start) => {
        const part = value.subarray(start, start + rangeBytes);
        const span: [number, number] = [headerBytes + start, headerBytes + start + part.byteLength];
        // A part of another length cannot be the right one: it is read past the value, which then fails its check.
        return this.range(name, span, looking, (bytes) => [bytes === part.byteLength ? part : new Uint8Array(bytes)]);
      }),
    );
    return read.every((total) => total !== undefined);
  }

  /** Reads bytes [start, end) of an object; answers how many it has, undefined when there is none, or none so far. */
  private async range(
    name: string,
    [start, end]: readonly [number, number],
    { signal, patienceMs }: Looking,
    roomFor: (bytes: number, total: number) => readonly Uint8Array[],
  ): Promise<number | undefined> {
    const key = this.requests.keyOf(name);
    let total = 0;
    const room = ({ headers }: HttpHead, bytes: number) => {
      total = Number(/\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1] ?? bytes);
      return roomFor(bytes, total);
    };
    const call = { method: 'GET', key, headers: { range: `bytes=${start}-${end - 1}` }, signal, room } as const;
    let isEmpty = false;
    const expected = (refusal: unknown) => isMissing(refusal) || (isEmpty = isPast(refusal));
    if ((await this.requests.ask(`reading ${name}`, call, { patienceMs, expected })) !== undefined) return total;
    // Of an object without a single byte there is no range at all: it is there, but no value.
    return isEmpty && start === 0 ? 0 : undefined;
  }

  private orAbsent<T>(name: string, look: () => Promise<T | undefined>): Promise<T | undefined> {
    return absentIfCorrupt(look, () => this.requests.delete([name]));
  }
}
