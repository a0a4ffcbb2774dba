import { nameOfPath, pathOfName } from '../inbox-paths';
import { folderOf } from '../prefix';

/**
 * What values are called in Redis. An inbox (inbox-paths.ts) is the hash tag: what one reader waits for lies in one slot of
 * a cluster, and the ranges of a step spread over all of them.
 *   <prefix>{<inbox>} <file>                         header of the value and its first MiB; there or not, it decides
 *   <prefix>{<inbox>}+<digest>+<number> <file>       each further MiB; the digest keeps two values under one name apart
 */
export class RedisKeys {
  constructor(
    private readonly prefix: string,
    private readonly database: number,
  ) {}

  /** @throws {SmltError} `InvalidName` */
  head(name: string): string {
    const { folder, file } = pathOfName(name);
    return `${this.prefix}{${folder}} ${file}`;
  }
  chunk(name: string, digest: string, number: number): string {
    const { folder, file } = pathOfName(name);
    return `${this.prefix}{${folder}}+${digest}+${number} ${file}`;
  }
  /** Where the arrival of a value is told. Channels are shared by all databases of a server. */
  channel(name: string): string {
    return `${this.database} ${this.prefix}${pathOfName(name).folder}`;
  }
  /** The name of a head's key; undefined for any other key. */
  nameOf(key: string): string | undefined {
    // A file has exactly one space in it.
    const cut = key.lastIndexOf(' ', key.lastIndexOf(' ') - 1);
    const inbox = key.slice(this.prefix.length, cut);
    if (!inbox.startsWith('{') || !inbox.endsWith('}')) return undefined;
    return nameOfPath({ folder: inbox.slice(1, -1), file: key.slice(cut + 1) });
  }
  /** A glob for the heads whose names begin so, and for some others. */
  pattern(namePrefix: string): string {
    const segments = folderOf(namePrefix).split('/').slice(0, -1);
    const steps = segments.indexOf('steps');
    const start = (steps < 0 ? segments : segments.slice(0, steps)).join('/');
    return `${`${this.prefix}{${start}`.replace(/[\\*?[\]^-]/g, '\\$&')}*`;
  }
}
