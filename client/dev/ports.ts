import { createServer } from 'node:net';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { readJson, writeJson } from './files';

const Ports = z.object({ temporal: z.int(), ui: z.int(), lambda: z.int() });
export type Ports = z.output<typeof Ports>;
type Name = keyof Ports;
const FLAGS: Record<Name, string> = { temporal: '--port', ui: '--ui-port', lambda: '--lambda-port' };

/**
 * A port that was asked for must be free. Else the ones of last time are taken again, so that links stay good, and the
 * system picks where those are busy.
 * @throws {SmltError} `AlreadyRunning` naming the port and the option
 */
export async function choosePorts(wanted: Partial<Ports>, portsFile: string): Promise<Ports> {
  const last = Ports.safeParse(readJson(portsFile));
  const taken = new Set<number>();
  const choose = async (name: Name): Promise<number> => {
    const asked = wanted[name];
    if (asked !== undefined) {
      if (!taken.has(asked) && (await isFree(asked))) return remember(taken, asked);
      throw new SmltError('AlreadyRunning', `port ${asked} (${FLAGS[name]}) is in use by another program. Choose another one, or leave ${FLAGS[name]} out and smlt picks a free one.`); // prettier-ignore
    }
    const before = last.success ? last.data[name] : undefined;
    if (before !== undefined && !taken.has(before) && (await isFree(before))) return remember(taken, before);
    return remember(taken, await freePort(taken));
  };
  const ports = { temporal: await choose('temporal'), ui: await choose('ui'), lambda: await choose('lambda') };
  writeJson(portsFile, ports);
  return ports;
}

function remember(taken: Set<number>, port: number): number {
  taken.add(port);
  return port;
}

async function freePort(taken: Set<number>): Promise<number> {
  for (;;) {
    const port = await listenOnce(0);
    if (port !== undefined && !taken.has(port)) return port;
  }
}

const isFree = async (port: number): Promise<boolean> => (await listenOnce(port)) !== undefined;

/** Listens for a moment: the port, or undefined when it is busy. */
function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}
