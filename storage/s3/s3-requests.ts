import { crc32 } from 'node:zlib';
import { ChargedRequests } from '../charged-requests';
import type { HttpAnswer } from '../http/answer-reader';
import { nameOfPath, pathOfName } from '../inbox-paths';
import { withPatience } from '../patience';
import { allThrough } from '../several';
import type { S3Settings } from './s3-client';
import { isMissing, isPassing, s3Fault } from './s3-faults';
import { escapeXml, inTag, refusalOf, S3Http, type S3Call, type S3Refusal } from './s3-http';
import type { S3Location } from './s3-uri';

/** S3 takes this many names in one DeleteObjects. */
const deleteBatch = 1_000;

export interface Asking {
  /** Refusals that are answers. */
  readonly expected?: (refusal: S3Refusal) => boolean;
  /** Left out: the exchange's own. */
  readonly patienceMs?: number | undefined;
}
export interface Looking {
  readonly signal?: AbortSignal | undefined;
  readonly patienceMs?: number | undefined;
}

/** What the exchange asks its bucket, with patience while that is away; counts what S3 charges for, attempts that failed included. */
export class S3Requests {
  readonly charged = new ChargedRequests();
  private readonly http: S3Http;

  constructor(
    private readonly location: S3Location,
    settings: S3Settings,
    private readonly patienceMs: number,
  ) {
    this.http = new S3Http(location, settings);
  }

  /** One look, to see that the bucket is there and lets itself be read. */
  async open(patienceMs: number): Promise<void> {
    const query = { 'list-type': '2', 'max-keys': '1', prefix: this.location.prefix };
    await this.ask('opening the exchange', { method: 'GET', query }, { patienceMs });
  }

  /** Of the object that is a value's. @throws {SmltError} `InvalidName` */
  keyOf(name: string): string {
    const { folder, file } = pathOfName(name);
    return `${this.location.prefix}${folder === '' ? '' : `${folder}/`}${file}`;
  }

  /** The answer; undefined for a refusal that is expected. @throws {SmltError} for any other */
  async ask(doing: string, call: S3Call, { expected, patienceMs = this.patienceMs }: Asking = {}): Promise<HttpAnswer | undefined> {
    const attempt = async () => {
      this.charged.count(call.method, call.key === undefined);
      const answer = await this.http.send(call);
      if (answer.status < 300) return answer;
      const refusal = refusalOf(answer);
      if (expected?.(refusal) === true) return undefined;
      throw Object.assign(new Error(refusal.message), refusal);
    };
    try {
      return await withPatience(attempt, { patienceMs, isPassing, signal: call.signal });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw this.fault(error, doing);
    }
  }

  /** All values whose keys begin so below the exchange's own prefix, a thousand a request. */
  async *pages(keyPrefix: string, { signal, patienceMs }: Looking = {}): AsyncGenerator<{ name: string; modifiedMs: number; nowMs: number }> {
    const own = this.location.prefix;
    for (let next: string | undefined = ''; next !== undefined;) {
      const query: Record<string, string> = { 'list-type': '2', prefix: own + keyPrefix, ...(next === '' ? {} : { 'continuation-token': next }) };
      const { words, headers } = (await this.ask('listing values', { method: 'GET', query, signal }, { patienceMs }))!;
      const nowMs = Date.parse(headers['date'] ?? '') || Date.now();
      for (const [, entry = ''] of words.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        const name = nameOfKey((inTag(entry, 'Key') ?? '').slice(own.length));
        if (name !== undefined) yield { name, modifiedMs: Date.parse(inTag(entry, 'LastModified') ?? '') || nowMs, nowMs };
      }
      next = inTag(words, 'IsTruncated') === 'true' ? inTag(words, 'NextContinuationToken') : undefined;
    }
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    const keys = names.map((name) => this.keyOf(name));
    const batches = Array.from({ length: Math.ceil(keys.length / deleteBatch) }, (_, i) => keys.slice(i * deleteBatch, (i + 1) * deleteBatch));
    await allThrough(batches.map((batch) => this.deleteBatch(batch, signal)));
  }

  close(): void {
    this.http.close();
  }

  private async deleteBatch(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    if (keys.length === 1) return void (await this.ask('deleting a value', { method: 'DELETE', key: keys[0]!, signal }, { expected: isMissing }));
    const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join('');
    const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Delete><Quiet>true</Quiet>${objects}</Delete>`);
    // The one request that S3 wants a checksum of.
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(body));
    const headers = { 'x-amz-checksum-crc32': checksum.toString('base64') };
    const what = `deleting ${keys.length} values`;
    const { words } = (await this.ask(what, { method: 'POST', query: { delete: '' }, headers, body: [body], signal }))!;
    for (const [, entry = ''] of words.matchAll(/<Error>(.*?)<\/Error>/gs)) {
      const name = inTag(entry, 'Code') ?? 'DeleteFailed';
      if (name === 'NoSuchKey') continue;
      const failed = { name, message: inTag(entry, 'Message') ?? '', $metadata: { httpStatusCode: name === 'AccessDenied' ? 403 : 500 } };
      throw this.fault(failed, what);
    }
  }

  private fault(error: unknown, doing: string): unknown {
    return s3Fault(error, doing, { bucket: this.location.bucket, endpoint: this.http.where });
  }
}

function nameOfKey(key: string): string | undefined {
  const cut = key.lastIndexOf('/');
  return nameOfPath({ folder: key.slice(0, Math.max(0, cut)), file: key.slice(cut + 1) });
}
