import { EventHeap } from './event-heap';

/**
 * A store's bandwidth under processor sharing: every transfer runs at its worker's own bandwidth while the store can keep
 * up, and all are slowed down by the same factor when it cannot. A transfer is work in "ms at own bandwidth"; virtual time
 * counts the work that everybody gets, so a start or an end costs one heap operation however many transfers run.
 */
export class SharedLink {
  readonly #ends = new EventHeap();
  readonly #generation: Int32Array;
  readonly #isActive: Uint8Array;
  #virtualMs = 0;
  #atMs = 0;
  #activeBytesPerMs = 0;
  #active = 0;
  #slowdown = 1;
  /** Bytes moved by transfers that ended. */
  movedBytes = 0;
  readonly #bytes: Float64Array;

  /** @param bytesPerMs  each worker's own bandwidth */
  constructor(
    private readonly bytesPerMs: Float64Array,
    private readonly totalBytesPerMs: number,
  ) {
    this.#generation = new Int32Array(bytesPerMs.length);
    this.#isActive = new Uint8Array(bytesPerMs.length);
    this.#bytes = new Float64Array(bytesPerMs.length);
  }

  start(worker: number, bytes: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#isActive[worker] = 1;
    this.#bytes[worker] = bytes;
    this.#activeBytesPerMs += this.bytesPerMs[worker]!;
    this.#active += 1;
    this.#ends.push(this.#virtualMs + bytes / this.bytesPerMs[worker]!, worker, ++this.#generation[worker]!);
  }

  /** A worker that died stops sending. */
  cancel(worker: number, nowMs: number): void {
    if (this.#isActive[worker] === 0) return;
    this.#advance(nowMs);
    this.#leave(worker);
  }

  slowDown(factor: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#slowdown = factor;
  }

  /** When the next transfer ends if nothing else begins. */
  get nextMs(): number {
    if (this.#active === 0) return Infinity;
    return this.#atMs + Math.max(0, this.#ends.nextMs - this.#virtualMs) / this.#rate;
  }

  /** Ends the next transfer. @returns its worker; -1 where that one was cancelled */
  pop(nowMs: number): number {
    this.#advance(nowMs);
    this.#virtualMs = Math.max(this.#virtualMs, this.#ends.nextMs);
    const worker = this.#ends.pop();
    if (this.#ends.mark !== this.#generation[worker] || this.#isActive[worker] === 0) return -1;
    this.movedBytes += this.#bytes[worker]!;
    this.#leave(worker);
    return worker;
  }

  get #rate(): number {
    return Math.min(1, this.totalBytesPerMs / this.#activeBytesPerMs) / this.#slowdown;
  }
  #advance(nowMs: number): void {
    if (this.#active > 0) this.#virtualMs += (nowMs - this.#atMs) * this.#rate;
    this.#atMs = nowMs;
  }
  #leave(worker: number): void {
    this.#isActive[worker] = 0;
    this.#active -= 1;
    if (this.#active > 0) {
      this.#activeBytesPerMs -= this.bytesPerMs[worker]!;
      return;
    }
    // An idle link forgets rounding errors and cancelled transfers.
    this.#activeBytesPerMs = 0;
    this.#virtualMs = 0;
    this.#ends.clear();
  }
}
