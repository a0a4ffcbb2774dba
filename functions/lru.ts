/** What a warm instance remembers, by full name or digest; never more than `limit` units, the least recently used goes first. */
export class Lru<Value> {
  readonly #entries = new Map<string, { value: Value; size: number }>();
  #size = 0;
  constructor(
    readonly limit: number,
    readonly sizeOf: (value: Value) => number = () => 1,
  ) {}

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: Value): void {
    this.#drop(key);
    const size = this.sizeOf(value);
    if (size > this.limit) return;
    this.#entries.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#size <= this.limit) break;
      this.#drop(oldest);
    }
  }

  /** Removes and returns: for what one invocation must have for itself. */
  take(key: string): Value | undefined {
    const value = this.get(key);
    this.#drop(key);
    return value;
  }

  async remember(key: string, make: () => Promise<Value>): Promise<Value> {
    const known = this.get(key);
    if (known !== undefined) return known;
    const value = await make();
    this.set(key, value);
    return value;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#size -= entry.size;
  }
}
