import { SmltError } from '../../../contracts/errors';
import { checkObjectName } from '../../../contracts/names';
import { sha256Hex, type Exchange, type ObjectInfo, type ObjectStore, type Taker, type Taking, type WaitOptions } from '../../../storage';
import { PlainTaking } from '../../../storage/taking';
import type { SimulatedPlatform } from '../../../platforms/simulated';

/** Objects in this process's memory: virtual days of commits must not wait for a disk. */
export class MemoryObjectStore implements ObjectStore {
  readonly uri = 'memory:';
  readonly #objects = new Map<string, Uint8Array>();

  /** @param onDecided  hears of every choice that was settled */
  constructor(private readonly onDecided: (name: string) => void) {}

  async putValue(name: string, bytes: Uint8Array): Promise<void> {
    const stored = this.#objects.get(checkObjectName(name));
    if (stored && !Buffer.from(stored).equals(bytes)) throw new SmltError('NotDeterministic', `${name}: other bytes are stored`);
    this.#objects.set(name, bytes.slice());
  }
  async decide(name: string, bytes: Uint8Array): Promise<Uint8Array> {
    const stored = this.#objects.get(checkObjectName(name)) ?? bytes.slice();
    this.#objects.set(name, stored);
    this.onDecided(name);
    return stored.slice();
  }
  async replace(name: string, bytes: Uint8Array): Promise<void> {
    this.#objects.set(checkObjectName(name), bytes.slice());
  }
  async get(name: string): Promise<Uint8Array> {
    const stored = this.#objects.get(name);
    if (!stored) throw new SmltError('ObjectMissing', `nothing is stored under ${name}`);
    return stored.slice();
  }
  async getInto(name: string, into: Uint8Array): Promise<void> {
    into.set(await this.get(name));
  }
  async head(name: string): Promise<ObjectInfo | undefined> {
    const stored = this.#objects.get(name);
    return stored && { name, sha256: sha256Hex(stored), bytes: stored.byteLength };
  }
  async list(prefix: string): Promise<string[]> {
    return [...this.#objects.keys()].filter((name) => name.startsWith(prefix));
  }
  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) this.#objects.delete(name);
  }
}

/** The exchange of simulated functions: it holds the newest complete step of every running round, as the clock stands. */
export class SimulatedExchange implements Exchange {
  readonly uri = 'simulated:';
  readonly traffic = { bytesWritten: 0, bytesRead: 0, puts: 0, gets: 0, requests: 0 };
  constructor(private readonly platform: () => SimulatedPlatform) {}

  putValue(): Promise<void> {
    return Promise.resolve();
  }
  get(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.platform().exchangeValue(name));
  }
  async getInto(name: string, into: Uint8Array): Promise<boolean> {
    const value = await this.get(name);
    if (value) into.set(value);
    return value !== undefined;
  }
  async present(names: readonly string[]): Promise<boolean[]> {
    const held = new Set(await this.platform().exchangeNames(''));
    return names.map((name) => held.has(name));
  }
  async waitFor(names: readonly string[], _options: WaitOptions): Promise<string[]> {
    const held = await this.present(names);
    return names.filter((_, i) => !held[i]);
  }
  take(taker: Taker, lookMs: number): Taking {
    return new PlainTaking(this, taker, lookMs);
  }
  delete(): Promise<void> {
    return Promise.resolve();
  }
  list(prefix: string): Promise<string[]> {
    return this.platform().exchangeNames(prefix);
  }
  expire(): Promise<void> {
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
