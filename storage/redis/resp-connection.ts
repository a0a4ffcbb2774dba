import { connect as connectTcp, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

export type RespReply = string | number | null | Buffer | RespReply[];
/** An argument is text, or bytes in views that are sent as they are: leave them alone until the reply is there. */
export type RespArgument = string | readonly Uint8Array[];
/** Asked, when its length is known, where the bytes of a bulk reply go: views that are filled one after the other. */
export type Room = (bytes: number) => readonly Uint8Array[];

/** Gets a reply for a command that was answered with an error, elsewhere; throws the error when there is no elsewhere. */
export type Redirect = (error: unknown, args: readonly RespArgument[], room?: Room) => Promise<RespReply>;

/** What the server itself answered, such as `OOM command not allowed`. */
export class RespError extends Error {
  override readonly name = 'RespError';
}
/** The connection ended before the reply came: the command may or may not have been carried out. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

export interface RespAddress {
  readonly host?: string;
  readonly port?: number;
  /** Of a Unix socket, instead of host and port. */
  readonly path?: string;
  readonly tls?: { readonly ca?: string; readonly servername?: string };
  readonly connectTimeoutMs: number;
  /** With replies due, a connection that is silent for so long is given up. */
  readonly silenceMs: number;
  /** Messages of the channels that this connection has subscribed to; it takes no other commands then. */
  readonly onMessage?: (channel: string, message: string) => void;
  readonly redirect?: Redirect;
}

/** Told the reply to a command, or why there is none: `RespError` or `ConnectionLost`. */
export type Settle = (reply: RespReply | Error) => void;
interface Pending {
  readonly room: Room | undefined;
  readonly settle: Settle;
}

/** Below this a copy out of the common buffer is cheaper than handing out another one. */
const directFromBytes = 32 * 1024;
/** What a large value begins with is copied out of it, so it is no larger than replies and notices need. */
const commonBufferBytes = 16 * 1024;
const lineEndBytes = 2;
const lineFeed = 10;

/**
 * One connection that speaks RESP2, for megabytes at a time: what is sent is never joined, and what comes is written by the
 * socket straight into the reader's own memory. Commands are pipelined as they come; replies keep their order.
 * Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
export class RespConnection {
  private readonly socket: Socket;
  private readonly pending: Pending[] = [];
  private readonly parser: RespParser;
  private lost: Error | undefined;
  private flushes = false;

  private constructor(private readonly address: RespAddress) {
    this.parser = new RespParser(
      () => this.pending[0]?.room,
      (reply) => this.settle(reply),
      address.onMessage !== undefined,
    );
    const onread: OnReadOpts = {
      buffer: () => this.parser.nextBuffer(),
      callback: (bytes) => {
        try {
          this.parser.received(bytes);
        } catch (error) {
          this.socket.destroy(error as Error);
        }
        return true;
      },
    };
    const { path, host = '127.0.0.1', port = 6379, tls } = address;
    const where = path === undefined ? { host, port } : { path };
    // The types do not know that TLS takes `onread` as well.
    const secure: ConnectionOptions & { onread: OnReadOpts } = { ...where, ...tls, onread };
    this.socket = tls === undefined ? connectTcp({ ...where, onread }) : connectTls(secure);
    this.socket.on('error', (error) => this.end(error));
    this.socket.on('close', () => this.end(new Error('the server closed the connection')));
    this.socket.on('timeout', () => {
      if (this.pending.length > 0) this.socket.destroy(new Error(`no answer for ${address.silenceMs} ms`));
    });
  }

  /** @throws the socket's error, as it is, when nobody answers there */
  static async open(address: RespAddress): Promise<RespConnection> {
    const connection = new RespConnection(address);
    const { socket } = connection;
    await new Promise<void>((resolve, reject) => {
      const tooLate = setTimeout(
        () => socket.destroy(new Error(`no ${address.tls === undefined ? 'connection' : 'TLS handshake'} after ${address.connectTimeoutMs} ms`)),
        address.connectTimeoutMs,
      );
      const settle = (done: () => void) => {
        clearTimeout(tooLate);
        done();
      };
      socket.once(address.tls === undefined ? 'connect' : 'secureConnect', () => settle(resolve));
      socket.once('error', (error) => settle(() => reject(error)));
      socket.once('close', () => settle(() => reject(new ConnectionLost('the server closed the connection'))));
    });
    socket.setTimeout(address.silenceMs);
    socket.setNoDelay(true);
    socket.unref();
    return connection;
  }

  get isOpen(): boolean {
    return this.lost === undefined;
  }

  /**
   * Sends a command and gives its reply; with room, a bulk reply is its length, and its bytes are where the room said.
   * @throws {RespError} what the server says against it
   * @throws {ConnectionLost}
   */
  command(args: readonly RespArgument[], room?: Room): Promise<RespReply> {
    return new Promise((resolve, reject) => this.send(args, room, (reply) => (reply instanceof Error ? reject(reply) : resolve(reply))));
  }

  /**
   * Sends several commands together, and gives their replies when all are through: what was sent may change from then on.
   * @throws {RespError | ConnectionLost} the first of what failed
   */
  pipeline(commands: readonly (readonly RespArgument[])[]): Promise<RespReply[]> {
    if (commands.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const replies = new Array<RespReply>(commands.length);
      let failure: Error | undefined;
      let due = commands.length;
      const through = (reply: RespReply | Error, i: number) => {
        if (reply instanceof Error) failure ??= reply;
        else replies[i] = reply;
        if (--due > 0) return;
        if (failure) reject(failure);
        else resolve(replies);
      };
      commands.forEach((args, i) => this.send(args, undefined, (reply) => through(reply, i)));
    });
  }

  /** The same as `command`, without a promise. */
  send(args: readonly RespArgument[], room: Room | undefined, told: Settle): void {
    const { redirect } = this.address;
    const settle: Settle =
      redirect === undefined ? told : (reply) => (reply instanceof Error ? void redirect(reply, args, room).then(told, told) : told(reply));
    if (this.lost) return settle(new ConnectionLost(this.lost.message, { cause: this.lost }));
    // Only a reply that is due keeps the process from ending.
    if (this.pending.push({ room, settle }) === 1) this.socket.ref();
    this.write(args);
  }

  close(): void {
    this.socket.destroy();
  }

  /** Commands of one turn of the event loop leave in one system call. */
  private write(args: readonly RespArgument[]): void {
    const { socket } = this;
    if (!this.flushes) {
      this.flushes = true;
      socket.cork();
      process.nextTick(() => {
        this.flushes = false;
        socket.uncork();
      });
    }
    let text = `*${args.length}\r\n`;
    for (const arg of args) {
      if (typeof arg === 'string') text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`;
      else {
        socket.write(`${text}$${bytesIn(arg)}\r\n`);
        for (const view of arg) if (view.byteLength > 0) socket.write(view);
        text = '\r\n';
      }
    }
    socket.write(text);
  }

  private settle(reply: RespReply | RespError): void {
    const { onMessage } = this.address;
    if (onMessage && Array.isArray(reply) && reply[0] === 'message') return onMessage(String(reply[1]), String(reply[2]));
    const first = this.pending.shift();
    if (this.pending.length === 0) this.socket.unref();
    if (first === undefined) this.socket.destroy(new Error('the server answered what nobody asked'));
    else first.settle(reply);
  }

  private end(error: Error): void {
    this.lost ??= error;
    this.socket.destroy();
    for (const { settle } of this.pending.splice(0)) settle(new ConnectionLost(error.message, { cause: error }));
  }
}

/** A bulk string on its way in: the views it goes to, and how far it has come. */
interface Body {
  readonly views: readonly Uint8Array[];
  readonly bytes: number;
  /** Resolves to the length for whoever gave the room, else to the bytes. */
  readonly own: Buffer | undefined;
  view: number;
  offset: number;
}

class RespParser {
  private readonly common = Buffer.allocUnsafeSlow(commonBufferBytes);
  /** The view of the body that the socket writes into; undefined while it writes into the common buffer. */
  private direct: Uint8Array | undefined;
  private line = '';
  private body: Body | undefined;
  /** Bytes of the line end behind a body that are still to come. */
  private tail = 0;
  /** Arrays that are not full yet, the innermost last. */
  private readonly arrays: { readonly items: RespReply[]; readonly length: number }[] = [];

  constructor(
    private readonly room: () => Room | undefined,
    private readonly settle: (reply: RespReply | RespError) => void,
    /** Bulk strings are text, as on a connection that only hears. */
    private readonly isText: boolean,
  ) {}

  /** Where the next bytes may be written. */
  nextBuffer(): Uint8Array {
    const { body } = this;
    this.direct = undefined;
    if (body) {
      const view = body.views[body.view];
      if (view && view.byteLength - body.offset >= directFromBytes) this.direct = view.subarray(body.offset);
    }
    return this.direct ?? this.common;
  }

  /** So many bytes were written there. */
  received(bytes: number): void {
    if (this.direct) return this.advance(bytes);
    let at = 0;
    while (at < bytes) {
      if (this.tail > 0) {
        const skipped = Math.min(this.tail, bytes - at);
        this.tail -= skipped;
        at += skipped;
      } else if (this.body) at += this.copy(at, bytes);
      else at = this.readLine(at, bytes);
    }
  }

  private copy(at: number, end: number): number {
    const body = this.body!;
    const view = body.views[body.view]!;
    const taken = Math.min(view.byteLength - body.offset, end - at);
    view.set(this.common.subarray(at, at + taken), body.offset);
    this.advance(taken);
    return taken;
  }

  private advance(bytes: number): void {
    const body = this.body!;
    body.offset += bytes;
    while (body.view < body.views.length && body.offset === body.views[body.view]!.byteLength) {
      body.view++;
      body.offset = 0;
    }
    if (body.view < body.views.length) return;
    this.body = undefined;
    this.tail = lineEndBytes;
    const { own } = body;
    this.deliver(own === undefined ? body.bytes : this.isText ? own.toString('latin1') : own);
  }

  private readLine(at: number, end: number): number {
    const stop = this.common.indexOf(lineFeed, at);
    if (stop < 0 || stop >= end) {
      this.line += this.common.toString('latin1', at, end);
      return end;
    }
    const line = this.line + this.common.toString('latin1', at, stop);
    this.line = '';
    this.take(line.charAt(0), line.slice(1, line.endsWith('\r') ? -1 : undefined));
    return stop + 1;
  }

  private take(type: string, rest: string): void {
    switch (type) {
      case '+':
        return this.deliver(rest);
      case '-':
        return this.deliver(new RespError(rest));
      case ':':
        return this.deliver(Number(rest));
      case '$':
        return this.begin(Number(rest));
      case '*': {
        const length = Number(rest);
        if (length < 0) return this.deliver(null);
        if (length === 0) return this.deliver([]);
        this.arrays.push({ items: [], length });
        return;
      }
      default:
        throw new Error(`expected a reply of Redis, got ${JSON.stringify((type + rest).slice(0, 60))}`);
    }
  }

  private begin(bytes: number): void {
    if (bytes < 0) return this.deliver(null);
    const room = this.arrays.length === 0 ? this.room() : undefined;
    const own = room ? undefined : Buffer.allocUnsafe(bytes);
    const views = room ? room(bytes) : [own!];
    if (bytesIn(views) !== bytes) throw new Error(`a reply of ${bytes} bytes was given other room`);
    this.body = { views, bytes, own, view: 0, offset: 0 };
    this.advance(0); // an empty one is complete already
  }

  private deliver(reply: RespReply | RespError): void {
    for (let value = reply; ;) {
      const array = this.arrays[this.arrays.length - 1];
      if (array === undefined) return this.settle(value);
      array.items.push(value instanceof RespError ? value.message : value);
      if (array.items.length < array.length) return;
      this.arrays.pop();
      value = array.items;
    }
  }
}

function bytesIn(views: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const view of views) bytes += view.byteLength;
  return bytes;
}
