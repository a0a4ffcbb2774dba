import { setTimeout as sleep } from 'node:timers/promises';
import { slotOf, SLOTS } from '../../storage/redis/slots';
import { freePort } from './ports';
import { startRedis, type RedisServer } from './redis';

export interface RedisClusterServers {
  readonly masters: readonly RedisServer[];
  /** With one node only, the others must be found; `?prefix=` may follow. */
  readonly uri: string;
  /** The master that was given the slot of a key at the start. */
  masterOf(key: string): RedisServer;
  /** Moves a slot with all its keys, as `redis-cli --cluster reshard` does; `halfWay` is called when one key has moved. */
  moveSlot(slot: number, to: RedisServer, halfWay?: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a real cluster on this machine, its slots dealt out evenly. */
export async function startRedisCluster(binary: string, { masters: count = 3, tls = false } = {}): Promise<RedisClusterServers> {
  const buses = await Promise.all(Array.from({ length: count }, freePort));
  const masters = await Promise.all(
    buses.map((bus) => {
      const secure = ['--tls-cluster', tls ? 'yes' : 'no'];
      return startRedis(binary, {
        tls,
        args: ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '2000', ...secure],
      });
    }),
  );
  const firstSlots = Array.from({ length: count + 1 }, (_, i) => Math.ceil((SLOTS * i) / count));
  const stop = async () => void (await Promise.all(masters.map((master) => master.stop())));
  try {
    for (const [i, master] of masters.entries()) {
      await master.run('CLUSTER', 'ADDSLOTSRANGE', String(firstSlots[i]), String(firstSlots[i + 1]! - 1));
      await master.run('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
      if (i > 0) await masters[0]!.run('CLUSTER', 'MEET', '127.0.0.1', String(master.port), String(buses[i]));
    }
    await untilTrue(async () => {
      const infos = await Promise.all(masters.map((master) => master.run('CLUSTER', 'INFO')));
      return infos.every((info) => /cluster_state:ok/.test(String(info)) && String(info).includes(`cluster_known_nodes:${count}`));
    });
  } catch (error) {
    await stop();
    throw error;
  }
  const idOf = async (master: RedisServer) => String(await master.run('CLUSTER', 'MYID'));
  return {
    masters,
    uri: tls ? masters[0]!.tlsUri!.replace('rediss:', 'rediss+cluster:') : masters[0]!.uri.replace('redis:', 'redis+cluster:'),
    masterOf: (key) => masters[firstSlots.findIndex((first) => first > slotOf(key)) - 1]!,
    async moveSlot(slot, to, halfWay) {
      const [[, , [, port]]] = ((await to.run('CLUSTER', 'SLOTS')) as [number, number, [Buffer, number]][]).filter(
        ([start, end]) => start <= slot && slot <= end,
      ) as [[number, number, [Buffer, number]]];
      const from = masters.find((master) => master.port === port)!;
      const [source, target] = [await idOf(from), await idOf(to)];
      await to.run('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', source);
      await from.run('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', target);
      for (let moved = 0; ; moved++) {
        const [key] = (await from.run('CLUSTER', 'GETKEYSINSLOT', String(slot), '1')) as Buffer[];
        if (key === undefined) break;
        await from.run('MIGRATE', '127.0.0.1', String(to.port), String(key), '0', '5000');
        if (moved === 0) await halfWay?.();
      }
      for (const master of [to, from, ...masters]) await master.run('CLUSTER', 'SETSLOT', String(slot), 'NODE', target);
    },
    stop,
  };
}

async function untilTrue(look: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; !(await look()); attempt++) {
    if (attempt === 400) throw new Error('the cluster did not become ready in 10 s');
    await sleep(25);
  }
}
