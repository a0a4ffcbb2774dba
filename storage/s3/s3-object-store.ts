import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { SmltError } from '../../contracts/errors';
import { checkObjectName } from '../../contracts/names';
import { ChargedRequests } from '../charged-requests';
import { checkRoom, objectFrames, type Frame } from '../frame';
import type { ObjectInfo, ObjectStore } from '../object-store';
import { checkPrefix } from '../prefix';
import { Filling } from '../views';
import { countRequests, elsewhereOf, openS3Client, type S3Settings } from './s3-client';
import { isConflict, isMissing, isTaken, isWordless, s3Fault } from './s3-faults';
import { parseS3Uri, type S3Location } from './s3-uri';

/** S3 takes this many names in one DeleteObjects. */
const deleteBatch = 1_000;
/** A conditional write that meets another one is tried again: some 10 s in all. */
const conflictRetries = 40;
const digestKey = 'smlt-sha256';

/**
 * Objects in a bucket of S3, or of a server that speaks its API.
 * 1. Put-if-absent is S3's own: `If-None-Match: *`, which answers 412 when the object exists and 409 when another write of
 *    the same name is under way.
 * 2. The digest stands in the object's metadata, so that a commit sees it without reading the object, and in its frame,
 *    which survives tools that drop metadata.
 * 3. Credentials come from the environment or profile, as for every AWS tool.
 */
export class S3ObjectStore implements ObjectStore {
  readonly charged = new ChargedRequests();
  private readonly client: S3Client;
  private readonly location: S3Location;
  /** Where the server is, when it is not AWS. */
  private readonly elsewhere: string | undefined;
  private bucketSeen = false;

  constructor(
    readonly uri: string,
    settings: S3Settings = {},
  ) {
    this.location = parseS3Uri(uri);
    this.elsewhere = elsewhereOf(this.location);
    this.client = openS3Client(this.location, settings);
    countRequests(this.client, this.charged);
  }

  async putValue(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    const frame = objectFrames.frameOf([bytes]);
    for (;;) {
      if (await this.putIfAbsent(name, frame, bytes, signal)) return;
      const stored = await this.head(name, signal);
      if (stored === undefined) continue; // deleted between our put and our look: ours to write again
      if (stored.sha256 !== frame.digest) throw objectFrames.notDeterministic(this.where(name), { ...stored, digest: stored.sha256 }, frame);
      return;
    }
  }

  async decide(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const frame = objectFrames.frameOf([bytes]);
    for (;;) {
      if (await this.putIfAbsent(name, frame, bytes, signal)) return new Uint8Array(bytes); // a Buffer's slice would be a view
      const stored = await this.read(name, signal);
      if (stored !== undefined) return stored;
    }
  }

  async replace(name: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.put(name, objectFrames.frameOf([bytes]), bytes, {}, signal);
  }

  async get(name: string, signal?: AbortSignal): Promise<Uint8Array> {
    const value = await this.read(name, signal);
    if (value === undefined) throw this.missing(name);
    return value;
  }

  async getInto(name: string, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const found = await this.receive(name, signal, async (body) => {
      const header = new Uint8Array(objectFrames.headerBytes);
      const filling = new Filling([header, into]);
      for await (const bytes of body) filling.take(bytes);
      const { received } = filling;
      const stored = objectFrames.parseHeader(header.subarray(0, received), received, this.where(name));
      objectFrames.checkValue(into, checkRoom(stored, into, name), this.where(name));
      return true;
    });
    if (found === undefined) throw this.missing(name);
  }

  async head(name: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    const key = this.keyOf(name);
    return this.ask(`looking at ${this.where(name)}`, signal, async (options) => {
      const { bucket } = this.location;
      try {
        const { Metadata, ContentLength = 0 } = await this.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), options);
        const sha256 = Metadata?.[digestKey];
        const { headerBytes } = objectFrames;
        if (sha256 !== undefined) return { name, sha256, bytes: ContentLength - headerBytes };
        if (ContentLength < headerBytes) objectFrames.parseHeader(new Uint8Array(), ContentLength, this.where(name));
        const { Body } = await this.client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: `bytes=0-${headerBytes - 1}` }), options);
        const { bytes, digest } = objectFrames.parseHeader((await Body?.transformToByteArray()) ?? new Uint8Array(), ContentLength, this.where(name));
        return { name, sha256: digest, bytes };
      } catch (error) {
        if (!isMissing(error)) throw error;
        await this.checkBucket(options);
        return undefined;
      }
    });
  }

  async list(prefix: string, signal?: AbortSignal): Promise<string[]> {
    const { bucket, prefix: own } = this.location;
    checkPrefix(prefix);
    return this.ask(`listing ${this.where(prefix)}`, signal, async (options) => {
      const found: string[] = [];
      let page: string | undefined;
      do {
        const answer = await this.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: own + prefix, ContinuationToken: page }), options);
        for (const { Key = '' } of answer.Contents ?? []) if (!Key.endsWith('/')) found.push(Key.slice(own.length));
        page = answer.NextContinuationToken;
      } while (page !== undefined);
      return found;
    });
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    const keys = names.map((name) => this.keyOf(name));
    for (let i = 0; i < keys.length; i += deleteBatch) {
      const Objects = keys.slice(i, i + deleteBatch).map((Key) => ({ Key }));
      await this.ask(`deleting ${Objects.length} objects`, signal, async (options) => {
        const { Errors = [] } = await this.client.send(
          new DeleteObjectsCommand({ Bucket: this.location.bucket, Delete: { Objects, Quiet: true } }),
          options,
        );
        const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
        if (failed !== undefined)
          throw Object.assign(new Error(`${failed.Key}: ${failed.Message}`), {
            name: failed.Code ?? 'DeleteFailed',
            $metadata: failed.Code === 'AccessDenied' ? { httpStatusCode: 403 } : {},
          });
      });
    }
  }

  private keyOf(name: string): string {
    return this.location.prefix + checkObjectName(name);
  }

  private where(name: string): string {
    return `s3://${this.location.bucket}/${this.location.prefix}${name}`;
  }

  /** True when this call made the object, false when one was there. */
  private async putIfAbsent(name: string, frame: Frame, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.put(name, frame, bytes, { IfNoneMatch: '*' }, signal);
        return true;
      } catch (error) {
        const cause = error instanceof SmltError ? error.cause : error;
        if (isTaken(cause)) return false;
        if (!isConflict(cause) || attempt === conflictRetries) throw error;
        await sleep(Math.random() * Math.min(500, 10 * 2 ** attempt), undefined, signal && { signal });
      }
    }
  }

  private async put(
    name: string,
    { header, digest }: Frame,
    bytes: Uint8Array,
    condition: { IfNoneMatch?: '*' },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const Key = this.keyOf(name);
    // One buffer: the SDK has to sign it, and to send it again when it retries.
    const Body = Buffer.concat([header, bytes]);
    const request = { Bucket: this.location.bucket, Key, Body, ContentLength: Body.length, Metadata: { [digestKey]: digest }, ...condition };
    await this.ask(`writing ${this.where(name)}`, signal, (options) => this.client.send(new PutObjectCommand(request), options));
  }

  private missing(name: string): SmltError {
    return new SmltError('ObjectMissing', `${name}: nothing is stored under this name in ${this.uri}`);
  }

  private async read(name: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    return this.receive(name, signal, async (body) => objectFrames.decode(await buffer(body), this.where(name)));
  }

  /** Undefined when there is no such object. */
  private async receive<T>(name: string, signal: AbortSignal | undefined, use: (body: Readable) => Promise<T>): Promise<T | undefined> {
    const request = { Bucket: this.location.bucket, Key: this.keyOf(name) };
    return this.ask(`reading ${this.where(name)}`, signal, async (options) => {
      try {
        const { Body } = await this.client.send(new GetObjectCommand(request), options);
        return await use((Body ?? Readable.from([])) as Readable);
      } catch (error) {
        if (!isMissing(error)) throw error;
        if (isWordless(error)) await this.checkBucket(options);
        return undefined;
      }
    });
  }

  /** A HEAD answers a bare 404 for a missing bucket too. A list has words: ask once, so that no bucket is never called no object. */
  private async checkBucket(options: { abortSignal?: AbortSignal }): Promise<void> {
    if (this.bucketSeen) return;
    await this.client.send(new ListObjectsV2Command({ Bucket: this.location.bucket, MaxKeys: 1 }), options);
    this.bucketSeen = true;
  }

  private async ask<T>(doing: string, signal: AbortSignal | undefined, request: (options: { abortSignal?: AbortSignal }) => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    try {
      return await request(signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw s3Fault(error, doing, { bucket: this.location.bucket, endpoint: this.elsewhere ?? 'AWS' });
    }
  }
}
