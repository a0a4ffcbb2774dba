import { createHash } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { S3Client } from '@aws-sdk/client-s3';
import { elsewhereOf, openS3Client, type S3Settings } from './s3-client';
import type { S3Location } from './s3-uri';
import { encodeKey, encodeQuery, signS3, UNSIGNED, type Signer } from './sigv4';

/** A worker has its ranges' values on their way at the same time, in parts; beyond so many they only share the bandwidth. */
const maxSockets = 64;
const silenceMs = 10_000;
/** An answer that nobody has given room for is words: a listing or an error. */
const maxWordsBytes = 16 * 2 ** 20;

export interface S3Call {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Left out: the bucket itself. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as they are, without joining them. */
  readonly body?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
  /** Views for the bytes of a body that was asked for: filled one after the other. */
  readonly room?: (answer: S3Answer, bytes: number) => readonly Uint8Array[];
}
export interface S3Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Empty when the bytes went to their room. */
  readonly words: string;
}

/** Shaped as the SDK's errors are, so that s3-faults.ts reads both. */
class S3Refusal extends Error {
  readonly $metadata: { readonly httpStatusCode: number };
  constructor({ status, words }: S3Answer) {
    super(inTag(words, 'Message') ?? `HTTP ${status}`);
    this.name = inTag(words, 'Code') ?? (status === 404 ? 'NotFound' : 'Unknown');
    this.$metadata = { httpStatusCode: status };
  }
}

/** What stands in the first `<tag>`. */
export function inTag(xml: string, tag: string): string | undefined {
  const found = new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1];
  return found?.replace(/&(?:amp|lt|gt|quot|apos|#39|#34);/g, (entity) => entities[entity]!);
}
const entities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&#39;': "'", '&#34;': '"' };
export const escapeXml = (text: string): string => text.replace(/[&<>]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[char]!);

/**
 * Requests to one bucket, for values of the exchange: bodies are sent from their views and read into their reader's memory.
 * 1. A body is signed as UNSIGNED-PAYLOAD over TLS or loopback, where nobody can change it on its way and the frame's own
 *    checksum finds damage; over a plain network its SHA-256 is signed.
 * 2. Connections are made as they are needed, kept, and never more than `maxSockets`.
 * 3. One attempt a call: whoever calls decides what to try again.
 */
export class S3Http {
  /** Where it is, for messages. */
  readonly where: string;
  private readonly config: S3Client;
  private readonly elsewhere: string | undefined;
  private readonly agents = { http: new HttpAgent({ keepAlive: true, maxSockets }), https: new HttpsAgent({ keepAlive: true, maxSockets }) };
  private target: Promise<URL> | undefined;

  constructor(
    private readonly location: S3Location,
    settings: S3Settings = {},
  ) {
    this.config = openS3Client(location, settings);
    this.elsewhere = elsewhereOf(location);
    this.where = this.elsewhere ?? 'AWS';
  }

  /** @throws what the server said against it, the socket's error, or the signal's reason */
  async send(call: S3Call): Promise<S3Answer> {
    call.signal?.throwIfAborted();
    const [url, credentials, region] = await Promise.all([this.base(), this.config.config.credentials(), this.config.config.region()]);
    const { method, body = [], headers = {}, query = {} } = call;
    const path = call.key === undefined ? url.pathname : `${url.pathname.replace(/\/$/, '')}/${encodeKey(call.key)}`;
    const bytes = body.reduce((sum, part) => sum + part.byteLength, 0);
    const unsigned = { method, path, query: encodeQuery(query), headers: { host: url.host, ...headers }, payload: payloadOf(url, body) };
    const signed = signS3(unsigned, { credentials, region } satisfies Signer, Date.now());
    const secure = url.protocol === 'https:';
    const answer = await exchange(secure ? httpsRequest : httpRequest, call, {
      agent: secure ? this.agents.https : this.agents.http,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      ...(url.port === '' ? {} : { port: url.port }),
      method,
      path: unsigned.query === '' ? path : `${path}?${unsigned.query}`,
      headers: { ...signed, ...(method === 'PUT' || method === 'POST' ? { 'content-length': bytes } : {}) },
    });
    if (answer.status >= 300) throw new S3Refusal(answer);
    return answer;
  }

  close(): void {
    this.agents.http.destroy();
    this.agents.https.destroy();
    this.config.destroy();
  }

  /** Of the bucket: a host of its own at AWS, a folder at any other endpoint. */
  private base(): Promise<URL> {
    this.target ??= (async () => {
      const { bucket } = this.location;
      if (this.elsewhere !== undefined) return new URL(bucket, this.elsewhere.replace(/\/*$/, '/'));
      const region = await this.config.config.region();
      const host = `s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
      // A certificate's wildcard stands for one label.
      return new URL(bucket.includes('.') ? `https://${host}/${bucket}` : `https://${bucket}.${host}/`);
    })();
    return this.target;
  }
}

function payloadOf({ protocol, hostname }: URL, body: readonly Uint8Array[]): string {
  if (protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return UNSIGNED;
  const hash = createHash('sha256');
  for (const part of body) hash.update(part);
  return hash.digest('hex');
}

function exchange(start: typeof httpRequest, { body = [], signal, room }: S3Call, options: RequestOptions): Promise<S3Answer> {
  return new Promise((resolve, reject) => {
    const request = start({ ...options, ...(signal ? { signal } : {}) }, (response) => {
      read(response, room).then(resolve, (error: Error) => {
        request.destroy();
        reject(error);
      });
    });
    request.setTimeout(silenceMs, () => request.destroy(new Error(`no answer for ${silenceMs} ms`)));
    request.once('error', (error) => reject(signal?.aborted === true ? (signal.reason as Error) : error));
    request.cork();
    for (const part of body) if (part.byteLength > 0) request.write(part);
    request.end();
    process.nextTick(() => request.uncork());
  });
}

/** Reads an answer: what was asked for into its room, anything else as words. */
async function read(response: IncomingMessage, room: S3Call['room']): Promise<S3Answer> {
  const answer: S3Answer = { status: response.statusCode ?? 0, headers: response.headers, words: '' };
  if (room === undefined || answer.status >= 300) {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) if ((bytes += chunk.length) <= maxWordsBytes) chunks.push(chunk);
    return { ...answer, words: Buffer.concat(chunks).toString('utf8') };
  }
  const expected = Number(response.headers['content-length']);
  const views = room(answer, expected);
  if (views.reduce((sum, view) => sum + view.byteLength, 0) !== expected) throw new Error(`an answer of ${expected} bytes was given other room`);
  let [at, offset] = [0, 0];
  // Each byte is copied once, from the socket's buffer to where it stays.
  const take = (chunk: Buffer) => {
    for (let taken = 0; taken < chunk.length;) {
      const view = views[at]!;
      const count = Math.min(view.byteLength - offset, chunk.length - taken);
      view.set(chunk.subarray(taken, taken + count), offset);
      taken += count;
      offset += count;
      if (offset === view.byteLength) [at, offset] = [at + 1, 0];
    }
  };
  await new Promise<void>((resolve, reject) => {
    response.on('data', take).once('end', resolve).once('error', reject);
    response.once('close', () => reject(Object.assign(new Error('the connection broke'), { code: 'ECONNRESET' })));
  });
  return answer;
}
