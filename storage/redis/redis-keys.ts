import { nameOfPath, pathOfName } from '../inbox-paths';
import { folderOf } from '../prefix';

const namesKnown = 2_048;

/**
 * What values are called in Redis. Run, step, node and range are the hash tag: a value's parts lie in one slot of a cluster,
 * and the values of a step spread over all of them (docs/decisions/0080).
 *   <prefix>{<inbox> <file>}                         header of the value and its first MiB; there or not, it decides
 *   <prefix>{<inbox> <file>}+<digest>+<number>       each further MiB; the digest keeps two values under one name apart
 */
export class RedisKeys {
  /** Of the names that were last asked for: each is asked for again and again within its step or two. */
  private readonly known = new Map<string, { readonly head: string; readonly channel: string }>();

  constructor(
    private readonly prefix: string,
    private readonly database: number,
  ) {}

  /** @throws {SmltError} `InvalidName` */
  head(name: string): string {
    return this.of(name).head;
  }
  chunk(name: string, digest: string, number: number): string {
    return `${this.head(name)}+${digest}+${number}`;
  }
  /** Where the arrival of a value is told, one for all that one reader waits for. Channels are shared by all databases of a server. */
  channel(name: string): string {
    return this.of(name).channel;
  }
  private of(name: string): { readonly head: string; readonly channel: string } {
    let keys = this.known.get(name);
    if (keys) return keys;
    const { folder, file } = pathOfName(name);
    keys = { head: `${this.prefix}{${folder} ${file}}`, channel: `${this.database} ${this.prefix}${folder}` };
    if (this.known.size >= namesKnown) this.known.clear();
    this.known.set(name, keys);
    return keys;
  }
  /** The name of a head's key; undefined for any other key. */
  nameOf(key: string): string | undefined {
    const [open, close] = [`${this.prefix}{`, '}'];
    if (!key.startsWith(open) || !key.endsWith(close)) return undefined;
    const path = key.slice(open.length, -close.length);
    // A file has exactly one space in it.
    const cut = path.lastIndexOf(' ', path.lastIndexOf(' ') - 1);
    return nameOfPath({ folder: path.slice(0, Math.max(0, cut)), file: path.slice(cut + 1) });
  }
  /** A glob for the heads whose names begin so, and for some others. */
  pattern(namePrefix: string): string {
    const segments = folderOf(namePrefix).split('/').slice(0, -1);
    const steps = segments.indexOf('steps');
    const start = (steps < 0 ? segments : segments.slice(0, steps)).join('/');
    return `${`${this.prefix}{${start}`.replace(/[\\*?[\]^-]/g, '\\$&')}*`;
  }
}
