import type { HttpAnswer } from './answer-reader';
import { HttpConnection, type HttpAddress, type HttpCall } from './http-connection';

/** Connections to one server: made as they are needed, kept, and never more than `most`. The one used last is used first. */
export class HttpPool {
  private idle: HttpConnection[] = [];
  private readonly all = new Set<HttpConnection>();
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly address: HttpAddress,
    private readonly most: number,
  ) {}

  /** @throws what the connection throws, or the signal's reason */
  async send(call: HttpCall): Promise<HttpAnswer> {
    if (this.running === this.most) await this.turn(call.signal);
    else this.running++;
    let connection: HttpConnection | undefined;
    try {
      call.signal?.throwIfAborted();
      connection = this.idle.pop() ?? this.connect();
      return await connection.send(call);
    } finally {
      if (connection && this.all.has(connection)) this.idle.push(connection);
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }

  close(): void {
    for (const connection of this.all) connection.close();
  }

  private connect(): HttpConnection {
    const connection: HttpConnection = new HttpConnection(this.address, () => {
      this.all.delete(connection);
      this.idle = this.idle.filter((one) => one !== connection);
    });
    this.all.add(connection);
    return connection;
  }

  private turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.waiting.splice(this.waiting.indexOf(go), 1);
        reject(signal!.reason as Error);
      };
      const go = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      this.waiting.push(go);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
