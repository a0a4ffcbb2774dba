import { RespConnection, type RespAddress } from './resp-connection';

export interface Login {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

export const linkTimes = { connectTimeoutMs: 3_000, silenceMs: 10_000 };

/** What was given, else what the environment says. */
export function loginOf(given: { readonly username?: string | undefined; readonly password?: string | undefined }, database: number): Login {
  const { username = process.env['SMLT_REDIS_USERNAME'], password = process.env['SMLT_REDIS_PASSWORD'] } = given;
  return { username, password, database };
}

/** A connection that is made when it is needed, and made again when it broke. */
export class RedisLink {
  private opening: Promise<RespConnection> | undefined;
  private newest: RespConnection | undefined;
  private closed = false;

  constructor(
    private readonly address: RespAddress,
    private readonly login: Login,
  ) {}

  /** The connection, where it stands. */
  get current(): RespConnection | undefined {
    return this.newest?.isOpen === true ? this.newest : undefined;
  }

  /** @throws the socket's or the server's error, as it is */
  async connection(): Promise<RespConnection> {
    if (this.closed) throw new Error('this exchange is closed');
    if (this.current) return this.current;
    this.opening ??= this.open().finally(() => (this.opening = undefined));
    return this.opening;
  }

  close(): void {
    this.closed = true;
    this.newest?.close();
  }

  private async open(): Promise<RespConnection> {
    const connection = await RespConnection.open(this.address);
    const { username, password, database } = this.login;
    try {
      if (password !== undefined) await connection.command(['AUTH', ...(username === undefined ? [] : [username]), password]);
      if (database !== 0) await connection.command(['SELECT', String(database)]);
    } catch (error) {
      connection.close();
      throw error;
    }
    if (this.closed) connection.close();
    this.newest = connection;
    return connection;
  }
}
