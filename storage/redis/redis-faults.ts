import { SmltError } from '../../contracts/errors';
import { isTlsCode } from '../tls-faults';
import { ConnectionLost, RespError } from './resp-connection';

const gone = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT', 'ECONNABORTED'];
const passing = /^(LOADING|READONLY|MASTERDOWN|TRYAGAIN|CLUSTERDOWN|BUSY|UNKILLABLE)\b/;

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Worth another attempt: the server may be starting, restarting or failing over, or the network be away. */
export function isPassing(error: unknown): boolean {
  if (error instanceof RespError) return passing.test(error.message);
  return !isTls(error) && (error instanceof ConnectionLost || gone.includes(codeOf(error)) || /^no (connection|answer)/.test(messageOf(error)));
}

export function isFull(error: unknown): boolean {
  return error instanceof RespError && /^OOM\b/.test(error.message);
}

function isTls(error: unknown): boolean {
  const cause = error instanceof ConnectionLost ? error.cause : error;
  return /^no TLS/.test(messageOf(cause)) || isTlsCode(codeOf(cause));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Turns what Redis or the network said into smlt's words: what failed, where, and what to do. */
export function redisFault(error: unknown, doing: string, where: string): unknown {
  const cause = { cause: error };
  const at = `${doing} at Redis ${where}`;
  const said = messageOf(error);
  if (error instanceof RespError) {
    if (/^(NOAUTH|WRONGPASS|ERR (invalid password|AUTH|Client sent AUTH))/.test(said))
      return new SmltError('StoreDenied', `${at}: the credentials were refused (${said}); set SMLT_REDIS_USERNAME and SMLT_REDIS_PASSWORD`, cause);
    if (/^NOPERM/.test(said))
      return new SmltError('StoreDenied', `${at}: access denied (${said}); allow this user the keys and channels of the exchange`, cause);
    if (/^DENIED/.test(said))
      return new SmltError('StoreDenied', `${at}: the server is in protected mode (${said}); give it a password, or bind it to this machine`, cause);
    if (/^(MOVED|ASK|CROSSSLOT)\b/.test(said))
      return new SmltError(
        'StoreDenied',
        `${at}: this is one node of a Redis Cluster (${said}); write redis+cluster://, or rediss+cluster:// for TLS`,
        cause,
      );
    if (/^ERR (DB index|invalid DB)/.test(said))
      return new SmltError('StoreDenied', `${at}: ${said}; correct the database's number in the URI`, cause);
    if (!passing.test(said)) return new SmltError('StoreUnavailable', `${at}: ${said}`, cause);
  }
  if (isTls(error))
    return new SmltError(
      'StoreDenied',
      `${at}: TLS failed (${said}); check that the server speaks TLS and that its certificate is trusted (option ca=)`,
      cause,
    );
  if (error instanceof ConnectionLost || error instanceof RespError || isPassing(error))
    return new SmltError('StoreUnavailable', `${at}: ${said}; check the address and that the server runs`, cause);
  return error;
}

/** What a full server is told apart by: the value that did not fit, and how much there is. `info` is its INFO memory. */
export function fullFault(error: unknown, doing: string, where: string, neededBytes: number, info: string): SmltError {
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim();
  const [used, max] = [Number(field('used_memory')), Number(field('maxmemory'))];
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const room =
    Number.isFinite(used) && Number.isFinite(max)
      ? `${mib(used)} of maxmemory ${mib(max)} are used, set it to ${mib(used + 2 * neededBytes)} or more`
      : 'raise maxmemory';
  return new SmltError('StoreFull', `${doing} at Redis ${where}: no memory left, ${neededBytes} bytes were needed; ${room}`, { cause: error });
}
