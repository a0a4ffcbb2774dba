import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SlowLink {
  readonly port: number;
  close(): Promise<void>;
}

/** A way to a port of this machine on which all connections, both ways together, move so many bytes a millisecond. */
export async function openSlowLink(toPort: number, bytesPerMs: number): Promise<SlowLink> {
  let freeAtMs = 0;
  const sockets = new Set<Socket>();
  const pump = async (from: Socket, to: Socket) => {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        freeAtMs = Math.max(performance.now(), freeAtMs) + chunk.length / bytesPerMs;
        await sleep(freeAtMs - performance.now());
        if (!to.write(chunk)) await once(to, 'drain');
      }
    } catch {
      // One side was broken off: so is the other.
    } finally {
      to.destroy();
    }
  };
  const server = createServer((near) => {
    const far = createConnection(toPort, '127.0.0.1');
    for (const socket of [near, far]) sockets.add(socket.setNoDelay().on('error', () => undefined));
    void pump(near, far);
    void pump(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
