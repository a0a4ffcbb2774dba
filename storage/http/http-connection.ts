import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { AnswerReader, type HttpAnswer, type Room } from './answer-reader';

export interface HttpAddress {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** With an answer due, a connection that is silent for so long is given up. */
  readonly silenceMs: number;
}

export interface HttpCall {
  readonly method: string;
  /** From the request line to the empty line. */
  readonly head: string;
  /** Sent as they are, without joining them: leave them alone until the answer is there. */
  readonly body: readonly Uint8Array[];
  readonly room?: Room | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Pending {
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

/**
 * One connection that speaks HTTP/1.1, one request after the other: what is sent is never joined, and a body that comes is
 * written by the socket straight into the reader's own memory.
 */
export class HttpConnection {
  private readonly socket: Socket;
  private readonly reader = new AnswerReader();
  private pending: Pending | undefined;
  private lost: Error | undefined;
  /** Requests that are not written to their end yet. */
  private writing = 0;

  /** Connects at once; the first request waits for it. @param onEnd  called once, when it can take no requests any more */
  constructor(
    private readonly address: HttpAddress,
    private readonly onEnd: () => void,
  ) {
    const { host, port, secure } = address;
    const onread: OnReadOpts = {
      buffer: () => this.reader.nextBuffer(),
      callback: (bytes) => {
        this.received(bytes);
        return true;
      },
    };
    // The types do not know that TLS takes `onread` as well.
    const overTls: ConnectionOptions & { onread: OnReadOpts } = { host, port, onread, ...(isIP(host) === 0 && { servername: host }) };
    this.socket = secure ? connectTls(overTls) : connectTcp({ host, port, onread });
    this.socket.setTimeout(address.silenceMs);
    this.socket.setNoDelay(true);
    this.socket.on('error', (error) => this.end(error));
    this.socket.on('close', () => {
      const answer = this.reader.ended();
      this.end(answer ? undefined : brokenError(), answer);
    });
    this.socket.on('timeout', () => {
      if (this.pending) this.socket.destroy(new Error(`no answer for ${address.silenceMs} ms`));
    });
  }

  /** @throws the socket's error, what was wrong with the answer, or the signal's reason */
  send({ method, head, body, room, signal }: HttpCall): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (this.lost) return reject(this.lost);
      const onAbort = () => this.end(signal!.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.pending = { resolve, reject, signal, onAbort };
      this.reader.expect(method, room);
      this.socket.ref(); // only an answer that is due keeps the process from ending
      this.writing++;
      const written = () => this.writing--;
      const views = body.filter(({ byteLength }) => byteLength > 0);
      this.socket.cork();
      this.socket.write(head, 'latin1', views.length === 0 ? written : undefined);
      views.forEach((view, i) => this.socket.write(view, i === views.length - 1 ? written : undefined));
      this.socket.uncork();
    });
  }

  close(): void {
    this.end(brokenError());
  }

  private received(bytes: number): void {
    if (this.lost) return;
    try {
      const answer = this.reader.received(bytes);
      if (answer) this.settle(answer);
    } catch (error) {
      this.end(error as Error);
    }
  }

  private settle(answer: HttpAnswer): void {
    // An answer before the request's end: the rest would be taken for the next one.
    if (this.writing > 0 || /\bclose\b/i.test(answer.headers['connection'] ?? '')) return this.end(undefined, answer);
    this.socket.unref();
    this.take()?.resolve(answer);
  }

  private end(error: Error | undefined, answer?: HttpAnswer): void {
    if (this.lost === undefined) {
      this.lost = error ?? brokenError();
      this.socket.destroy();
      this.onEnd();
    }
    const pending = this.take();
    if (answer) pending?.resolve(answer);
    else pending?.reject(error);
  }

  private take(): Pending | undefined {
    const { pending } = this;
    this.pending = undefined;
    pending?.signal?.removeEventListener('abort', pending.onAbort);
    return pending;
  }
}

const brokenError = () => Object.assign(new Error('the connection broke'), { code: 'ECONNRESET' });
