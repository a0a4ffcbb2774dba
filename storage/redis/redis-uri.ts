import { readFileSync } from 'node:fs';
import { SmltError } from '../../contracts/errors';
import type { RespAddress } from './resp-connection';

/**
 * `redis://HOST:PORT/DATABASE?prefix=P`, `rediss://` for TLS, `redis+unix:///path/to/socket` for a server on this machine.
 * Port 6379, database 0 and no prefix are the defaults. `ca` names a PEM file for TLS with a certificate of one's own.
 * Several hosts with commas between them are servers that share the values, or, as `redis+cluster:` or `rediss+cluster:`, nodes
 * of a cluster to begin with (redisServersIn).
 */
export interface RedisLocation {
  readonly address: Pick<RespAddress, 'host' | 'port' | 'path' | 'tls'>;
  readonly database: number;
  /** What all keys begin with. */
  readonly prefix: string;
  /** For messages: where it is, without options. */
  readonly where: string;
}

/** @throws {SmltError} `InvalidSpec` */
export function parseRedisUri(uri: string): RedisLocation {
  let url: URL;
  try {
    url = new URL(uri);
  } catch (error) {
    throw refuse(uri, 'not a URI', error);
  }
  // A URI is written into plans and workflow histories, where a secret would stay readable for good.
  if (url.username !== '' || url.password !== '')
    throw new SmltError(
      'InvalidSpec',
      `exchange ${url.protocol}//: credentials do not belong in the URI; set SMLT_REDIS_USERNAME and SMLT_REDIS_PASSWORD instead`,
    );
  const unix = url.protocol === 'redis+unix:';
  const options = ['prefix', ...(unix ? ['database'] : []), ...(url.protocol === 'rediss:' ? ['ca'] : [])];
  const unknown = [...url.searchParams.keys()].find((key) => !options.includes(key));
  if (unknown !== undefined) throw refuse(uri, `unknown option ${JSON.stringify(unknown)}`);
  const prefix = url.searchParams.get('prefix') ?? '';
  if (!/^[A-Za-z0-9._:/-]{0,200}$/.test(prefix))
    throw refuse(uri, 'a prefix has letters, digits, dots, colons, slashes, dashes and underscores, at most 200');
  const database = unix ? (url.searchParams.get('database') ?? '0') : url.pathname.replace(/^\//, '') || '0';
  if (!/^[0-9]{1,5}$/.test(database)) throw refuse(uri, `a database is a number, not ${JSON.stringify(database)}`);
  const rest = { database: Number(database), prefix: prefix === '' ? '' : `${prefix}:` };
  if (unix) {
    if (url.hostname !== '' || url.pathname.length < 2) throw refuse(uri, 'a socket has an absolute path');
    const path = decodeURIComponent(url.pathname);
    return { ...rest, address: { path }, where: path };
  }
  if (url.hostname === '') throw refuse(uri, 'no host');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? 6379 : Number(url.port);
  const tls =
    url.protocol === 'rediss:'
      ? { ...caOf(uri, url.searchParams.get('ca')), ...(/[a-z]/i.test(host) && !host.includes(':') ? { servername: host } : {}) }
      : undefined;
  return { ...rest, address: { host, port, ...(tls ? { tls } : {}) }, where: `${url.hostname}:${port}` };
}

/** The URIs of a list's servers, each with the options of all. @throws {SmltError} `InvalidSpec` */
export function redisServersIn(uri: string): string[] {
  const [, scheme, hosts = '', rest = ''] = /^(rediss?)(?:\+cluster)?:\/\/([^/?#]*)(.*)$/.exec(uri) ?? [];
  if (scheme === undefined) return [uri];
  const servers = hosts.split(',').map((host) => `${scheme}://${host}${rest}`);
  const places = servers.map((server) => parseRedisUri(server).where);
  const twice = places.find((where, i) => places.indexOf(where) !== i);
  if (twice !== undefined) throw refuse(uri, `${twice} is named twice`);
  return servers;
}

function caOf(uri: string, path: string | null): { ca?: string } {
  if (path === null) return {};
  try {
    return { ca: readFileSync(path, 'utf8') };
  } catch (error) {
    throw refuse(uri, `the certificates at ${path} cannot be read`, error);
  }
}

function refuse(uri: string, what: string, cause?: unknown): SmltError {
  const expected = 'redis://HOST:PORT/DATABASE?prefix=P (or HOST:PORT,HOST:PORT,...), rediss:// for TLS, or redis+unix:///path/to/socket';
  return new SmltError('InvalidSpec', `exchange ${JSON.stringify(uri)}: ${what}; expected ${expected}`, { cause });
}
