/** What warm instances may keep beside their work: an eighth of the function's memory, which Lambda tells in its environment. */
export const cacheBytes = (Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE) || 1_024) * ((1_024 * 1_024) / 8);

/** What a warm instance remembers, by full name or digest; never more than `limit` units, the least recently used goes first. */
export class Lru<Value> {
  readonly #entries = new Map<string, { value: Value; size: number }>();
  #size = 0;
  constructor(
    readonly limit: number,
    readonly sizeOf: (value: Value) => number = () => 1,
    /** For what must be given back when it is forgotten. */
    private readonly forgotten: (value: Value) => void = () => undefined,
  ) {}

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: Value): void {
    this.#forget(key);
    const size = this.sizeOf(value);
    this.#entries.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#size <= this.limit) break;
      this.#forget(oldest);
    }
  }

  /** Removes and returns: for what one invocation must have for itself. */
  take(key: string): Value | undefined {
    return this.#drop(key);
  }

  async remember(key: string, make: () => Promise<Value>): Promise<Value> {
    const known = this.get(key);
    if (known !== undefined) return known;
    const value = await make();
    this.set(key, value);
    return value;
  }

  #forget(key: string): void {
    const value = this.#drop(key);
    if (value !== undefined) this.forgotten(value);
  }

  #drop(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#size -= entry.size;
    return entry.value;
  }
}
