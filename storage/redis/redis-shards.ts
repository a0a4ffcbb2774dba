import { RedisExchange, type RedisSettings } from './redis-exchange';
import { RedisKeys } from './redis-keys';
import { parseRedisUri, redisServersIn } from './redis-uri';
import { SLOTS, slotOf } from './slots';
import { SpreadExchange } from './spread-exchange';

/**
 * Independent servers, `redis://HOST,HOST,...`: each holds an equal stretch of a cluster's slots, in the order of the URI, for
 * good. None knows of the others; one that is away is waited for, and one that comes back empty has lost its values only.
 * @throws {SmltError} `StoreUnavailable` when one of them does not answer, `StoreDenied` when one refuses
 */
export async function openRedisShards(uri: string, settings: RedisSettings = {}): Promise<SpreadExchange> {
  const servers = redisServersIn(uri);
  const opened = await Promise.allSettled(servers.map((server) => RedisExchange.open(server, settings)));
  const all = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const close = async () => void (await Promise.all(all.map((one) => one.close())));
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed) {
    await close();
    throw failed.reason;
  }
  const { database, prefix } = parseRedisUri(servers[0]!);
  const keys = new RedisKeys(prefix, database);
  const holderOf = (name: string) => all[Math.floor((slotOf(keys.head(name)) * all.length) / SLOTS)]!;
  return new SpreadExchange(uri, { all, holderOf, close });
}
