import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';
import { SmltError } from '../../contracts/errors';
import type { HttpAnswer, Room } from '../http/answer-reader';
import { HttpPool } from '../http/http-pool';
import { elsewhereOf, openS3Client, type S3Settings } from './s3-client';
import type { S3Location } from './s3-uri';
import { encodeKey, encodeQuery, signS3, UNSIGNED, type Signer } from './sigv4';

/** A worker has its ranges' values on their way at the same time, in parts; beyond so many they only share the bandwidth. */
const mostConnections = 64;
const silenceMs = 10_000;
/** Credentials that change, as those of a role do, are asked for anew so often; whoever gives them keeps them for minutes. */
const signerMs = 1_000;

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
  readonly room?: Room;
}

/** What the server has against a call. Shaped as the SDK's errors are, so that s3-faults.ts reads both. */
export interface S3Refusal {
  readonly name: string;
  readonly message: string;
  readonly $metadata: { readonly httpStatusCode: number };
}

/** Of an answer whose status is an error's. No Error: most are the expected ones of names that are not there yet. */
export function refusalOf({ status, words }: HttpAnswer): S3Refusal {
  const name = inTag(words, 'Code') ?? (status === 404 ? 'NotFound' : 'Unknown');
  return { name, message: inTag(words, 'Message') ?? `HTTP ${status}`, $metadata: { httpStatusCode: status } };
}

/** What stands in the first `<tag>`. */
export function inTag(xml: string, tag: string): string | undefined {
  const found = new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1];
  return found?.replace(/&(?:amp|lt|gt|quot|apos|#39|#34);/g, (entity) => entities[entity]!);
}
const entities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&#39;': "'", '&#34;': '"' };
export const escapeXml = (text: string): string => text.replace(/[&<>]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[char]!);

/** The bucket's own address: a host of its own at AWS, a folder at any other endpoint. */
interface Target {
  readonly pool: HttpPool;
  /** As the `host` header has it. */
  readonly host: string;
  /** What every key's path begins with. */
  readonly folder: string;
  /** Nobody on the way can change a body: over TLS, or within this machine. */
  readonly guarded: boolean;
}

/**
 * Requests to one bucket, for values of the exchange: bodies are sent from their views and read into their reader's memory.
 * 1. A body is signed as UNSIGNED-PAYLOAD over TLS or loopback, where nobody can change it on its way and the frame's own
 *    checksum finds damage; over a plain network its SHA-256 is signed.
 * 2. Connections are made as they are needed, kept, and never more than `mostConnections`.
 * 3. One attempt a call: whoever calls decides what to try again.
 */
export class S3Http {
  /** Where it is, for messages. */
  readonly where: string;
  private readonly config: S3Client;
  private readonly elsewhere: string | undefined;
  private target: Promise<Target> | undefined;
  private signer: { readonly use: Promise<Signer>; readonly atMs: number } | undefined;
  private closed = false;

  constructor(
    private readonly location: S3Location,
    settings: S3Settings = {},
  ) {
    this.config = openS3Client(location, settings);
    this.elsewhere = elsewhereOf(location);
    this.where = this.elsewhere ?? 'AWS';
  }

  /** The server's answer, whatever it says. @throws the socket's error, or the signal's reason */
  async send({ method, key, query = {}, headers = {}, body = [], signal, room }: S3Call): Promise<HttpAnswer> {
    signal?.throwIfAborted();
    const { pool, host, folder, guarded } = await (this.target ??= this.find());
    const signer = await this.currentSigner();
    const path = key === undefined ? folder || '/' : `${folder}/${encodeKey(key)}`;
    const unsigned = { method, path, query: encodeQuery(query), headers: { host, ...headers }, payload: guarded ? UNSIGNED : sha256Of(body) };
    const signed = signS3(unsigned, signer, Date.now());
    let head = `${method} ${unsigned.query === '' ? path : `${path}?${unsigned.query}`} HTTP/1.1\r\n`;
    for (const name in signed) head += `${name}: ${signed[name]}\r\n`;
    if (method === 'PUT' || method === 'POST') head += `content-length: ${body.reduce((sum, part) => sum + part.byteLength, 0)}\r\n`;
    return pool.send({ method, head: `${head}\r\n`, body, room, signal });
  }

  close(): void {
    this.closed = true;
    void this.target?.then(({ pool }) => pool.close(), () => undefined); // prettier-ignore
    this.config.destroy();
  }

  private async find(): Promise<Target> {
    const url = await this.url();
    const { protocol, host, hostname, pathname } = url;
    const secure = protocol === 'https:';
    const name = hostname.replace(/^\[|\]$/g, '');
    const port = Number(url.port) || (secure ? 443 : 80);
    const pool = new HttpPool({ host: name, port, secure, silenceMs }, mostConnections);
    if (this.closed) pool.close();
    return { pool, host, folder: pathname.replace(/\/$/, ''), guarded: secure || /^(localhost|127(\.\d+){3}|::1)$/.test(name) };
  }

  private async url(): Promise<URL> {
    const { bucket } = this.location;
    if (this.elsewhere !== undefined) return new URL(bucket, this.elsewhere.replace(/\/*$/, '/'));
    const region = await this.config.config.region();
    const host = `s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
    // A certificate's wildcard stands for one label.
    return new URL(bucket.includes('.') ? `https://${host}/${bucket}` : `https://${bucket}.${host}/`);
  }

  private currentSigner(): Promise<Signer> {
    const nowMs = performance.now();
    if (this.signer === undefined || nowMs - this.signer.atMs > signerMs) this.signer = { use: this.findSigner(), atMs: nowMs };
    return this.signer.use;
  }

  private async findSigner(): Promise<Signer> {
    const { credentials, region } = this.config.config;
    const signer = { credentials: await credentials(), region: await region() };
    const { accessKeyId, sessionToken = '' } = signer.credentials;
    // They stand in headers, where a line break would begin another one.
    if (/[^\x21-\x7e]/.test(accessKeyId + sessionToken))
      throw new SmltError('StoreDenied', 'AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN holds a space or a line break; set them without');
    return signer;
  }
}

function sha256Of(body: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of body) hash.update(part);
  return hash.digest('hex');
}
