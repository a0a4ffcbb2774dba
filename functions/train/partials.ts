import type { Compression } from '../../contracts/compression';
import type { Span } from '../../contracts/names';
import { methodOf, type Method } from '../../training/compression';
import type { Vectors } from '../../training/kernels';
import { bytesOf } from '../bytes';
import type { Expected } from './wait';

/** A partial on its way out: `done` gives its memory back. */
interface Outgoing {
  readonly bytes: Uint8Array;
  readonly done: () => void;
}

/**
 * How sums of gradients look in the exchange: as they are, or as the job's compression makes them. Running statistics and
 * the loss, behind the parameters, stay float32.
 */
export class Partials {
  /** The step that is being made. */
  step = 0;
  readonly #method: Method | undefined;

  constructor(
    { compression, seed }: { compression?: Compression | undefined; seed: number },
    private readonly paramCount: number,
    private readonly vectors: Vectors,
    scratch: Float32Array,
  ) {
    this.#method = compression && methodOf(compression, scratch, seed);
  }

  /** Rounds the sums of a stretch's nodes to what their bytes can hold; undefined where nothing is lost. */
  settling(span: Span): ((sum: Float32Array, node: Span) => void) | undefined {
    const method = this.#method;
    const params = this.#paramsIn(span);
    return method && params > 0 ? (sum, node) => method.settle(sum.subarray(0, params), { step: this.step, node, first: span.start }) : undefined;
  }

  /** A settled sum, ready to be put. */
  outgoing(sum: Float32Array, span: Span): Outgoing {
    const method = this.#method;
    const params = this.#paramsIn(span);
    if (!method || params === 0) return { bytes: bytesOf(sum), done: () => undefined };
    const room = this.vectors.floats(this.#floatsFor(method, span));
    const out = bytesOf(room);
    const coded = method.encode(sum.subarray(0, params), out);
    const used = floatsOf(coded);
    out.fill(0, coded, 4 * used); // the same value is the same bytes
    room.set(sum.subarray(params), used);
    return { bytes: out.subarray(0, 4 * (used + sum.length - params)), done: () => this.vectors.release(room) };
  }

  /** The sum that these bytes are. */
  decode(bytes: Uint8Array, span: Span, sum: Float32Array): void {
    const method = this.#method;
    const params = this.#paramsIn(span);
    if (!method || params === 0) return bytesOf(sum).set(bytes);
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    method.decode(aligned, sum.subarray(0, params));
    bytesOf(sum.subarray(params)).set(aligned.subarray(aligned.length - 4 * (sum.length - params)));
  }

  /** What to wait for; `take` is given the sum, in a vector of its own. */
  expected(name: string, span: Span, take: (sum: Float32Array) => void): Expected {
    const method = this.#method;
    const length = span.end - span.start;
    if (!method || this.#paramsIn(span) === 0) {
      let sum = new Float32Array(0);
      return { name, bytes: bytesIn(length), room: () => bytesOf((sum = this.vectors.floats(length))), take: () => take(sum) };
    }
    const receive = (bytes: Uint8Array) => {
      const sum = this.vectors.floats(length);
      this.decode(bytes, span, sum);
      take(sum);
    };
    if (!method.fixedSize) {
      let coded = new Uint8Array();
      return { name, room: (bytes) => (coded = new Uint8Array(bytes)), take: () => receive(coded) };
    }
    const coded = this.#floatsFor(method, span);
    let room = new Float32Array(0);
    return {
      name,
      bytes: bytesIn(coded),
      room: () => bytesOf((room = this.vectors.floats(coded))),
      take: () => {
        receive(bytesOf(room));
        this.vectors.release(room);
      },
    };
  }

  #paramsIn({ start, end }: Span): number {
    return Math.max(0, Math.min(end, this.paramCount) - start);
  }
  #floatsFor(method: Method, span: Span): number {
    const params = this.#paramsIn(span);
    return floatsOf(method.bytesFor(params)) + (span.end - span.start - params);
  }
}

const bytesIn = (floats: number) => floats * Float32Array.BYTES_PER_ELEMENT;
const floatsOf = (bytes: number) => Math.ceil(bytes / Float32Array.BYTES_PER_ELEMENT);
