import type { Arithmetic } from './arithmetic';
import type { Rule } from './rules';

/*
 * Compiles a rule to WebAssembly SIMD: four elements at once, the same operations in the same order, so the same bits.
 * 1. The module has one page of memory of its own: scalars first, then one chunk each of parameters, gradient and slots.
 *    A caller copies chunks in and out; the copies stay in the processor's first cache.
 * 2. It has no loop but the one over the chunk, and can touch nothing outside its page.
 * Source: WebAssembly core specification 2.0, binary format.
 */
const PAGE_BYTES = 65_536;
const SCALAR_BYTES = 256;

export interface Kernel {
  /** One step over all elements, in place. */
  run(params: Float32Array, gradient: Float32Array, slots: Float32Array, scalars: readonly number[]): void;
}

/** What of the WebAssembly API is used here: no library of TypeScript's for pure code has it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: { memory: { buffer: ArrayBuffer }; step(bytes: number): void } };
};

export function compile(rule: Rule): Kernel {
  const arrays = 2 + rule.slots;
  /** A whole number of SIMD vectors that leaves room for all arrays. */
  const chunk = Math.floor((PAGE_BYTES - SCALAR_BYTES) / arrays / 64) * 16;
  const offsetOf = (array: number) => SCALAR_BYTES + array * chunk * 4;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleOf(rule, offsetOf)));
  const view = (array: number) => new Float32Array(exports.memory.buffer, offsetOf(array), chunk);
  const scalarView = new Float32Array(exports.memory.buffer, 0, SCALAR_BYTES / 4);
  const [p, g] = [view(0), view(1)];
  const slotViews = Array.from({ length: rule.slots }, (_, slot) => view(2 + slot));

  return {
    run(params, gradient, slots, scalars) {
      const total = params.length;
      scalarView.set(scalars);
      for (let start = 0; start < total; start += chunk) {
        const end = Math.min(start + chunk, total);
        const length = end - start;
        p.set(params.subarray(start, end));
        g.set(gradient.subarray(start, end));
        slotViews.forEach((slotView, slot) => slotView.set(slots.subarray(slot * total + start, slot * total + end)));
        // What lies behind the last element is computed with it and never read.
        exports.step(Math.ceil(length / 4) * 16);
        params.set(length === chunk ? p : p.subarray(0, length), start);
        slotViews.forEach((slotView, slot) => slots.set(length === chunk ? slotView : slotView.subarray(0, length), slot * total + start));
      }
    },
  };
}

// Opcodes. Those of SIMD follow the prefix 0xfd, as LEB128 numbers.
const [BLOCK, LOOP, BR, BR_IF, END, I32_GE_U, I32_ADD, I32_CONST] = [0x02, 0x03, 0x0c, 0x0d, 0x0b, 0x4f, 0x6a, 0x41];
const [LOCAL_GET, LOCAL_SET, VOID, V128, I32, FUNC] = [0x20, 0x21, 0x40, 0x7b, 0x7f, 0x60];
const simd = {
  load: 0,
  store: 11,
  load32Splat: 9,
  constant: 12,
  gt: 68,
  lt: 67,
  and: 78,
  abs: 224,
  sqrt: 227,
  add: 228,
  sub: 229,
  mul: 230,
  div: 231,
  max: 233,
};

function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}
const vector = (items: readonly number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, content: readonly number[]): number[] => [id, ...leb(content.length), ...content];
const op = (code: number): number[] => [0xfd, ...leb(code)];
/** Alignment 2^4 bytes for vectors, 2^2 for scalars. */
const memory = (code: number, offset: number): number[] => [...op(code), code === simd.load32Splat ? 2 : 4, ...leb(offset)];

/** A module that exports `memory` and `step(bytes)`. */
function moduleOf(rule: Rule, offsetOf: (array: number) => number): Uint8Array {
  const AT = 1; // local 0 is the number of bytes, local 1 the position, vectors follow
  let locals = 2;
  const code: number[] = [];
  const get = (local: number) => [LOCAL_GET, ...leb(local)];
  /** Puts what the instructions leave on the stack into a new local. */
  const keep = (...instructions: number[][]): number => {
    const local = locals++;
    code.push(...instructions.flat(), LOCAL_SET, ...leb(local));
    return local;
  };
  const unary = (opcode: number) => (a: number) => keep(get(a), op(opcode));
  const binary = (opcode: number) => (a: number, b: number) => keep(get(a), get(b), op(opcode));
  const splat = (value: number) =>
    keep(op(simd.constant), Array.from({ length: 4 }, () => [...new Uint8Array(Float32Array.of(value).buffer)]).flat());

  const names = Object.keys(rule.scalars(0, 0));
  if (names.length * 4 > SCALAR_BYTES) throw new Error(`${names.length} scalars: expected at most ${SCALAR_BYTES / 4}`);
  const k = Object.fromEntries(names.map((name, i) => [name, keep([I32_CONST, 0], memory(simd.load32Splat, i * 4))]));
  const [zero, one] = [splat(0), splat(1)];
  const f: Arithmetic<number> = {
    add: binary(simd.add),
    sub: binary(simd.sub),
    mul: binary(simd.mul),
    div: binary(simd.div),
    max: binary(simd.max),
    sqrt: unary(simd.sqrt),
    abs: unary(simd.abs),
    sign(a) {
      const above = keep(get(a), get(zero), op(simd.gt), get(one), op(simd.and));
      return keep(get(above), get(a), get(zero), op(simd.lt), get(one), op(simd.and), op(simd.sub));
    },
  };
  code.push(BLOCK, VOID, LOOP, VOID, ...get(AT), ...get(0), I32_GE_U, BR_IF, 1);
  const load = (array: number) => keep(get(AT), memory(simd.load, offsetOf(array)));
  const old = { p: load(0), g: load(1), slots: Array.from({ length: rule.slots }, (_, slot) => load(2 + slot)) };
  const made = rule.element(f, old, k);
  const store = (array: number, value: number) => code.push(...get(AT), ...get(value), ...memory(simd.store, offsetOf(array)));
  store(0, made.p);
  made.slots.forEach((value, slot) => store(2 + slot, value));
  code.push(...get(AT), I32_CONST, 16, I32_ADD, LOCAL_SET, AT, BR, 0, END, END, END);

  const name = (text: string) => vector([...text].map((letter) => [letter.charCodeAt(0)]));
  const declared = vector([
    [1, I32],
    [...leb(locals - 2), V128],
  ]);
  const body = [...declared, ...code];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[FUNC, ...vector([[I32]]), 0]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[1, 1, 1]])),
    ...section(7, vector([[...name('memory'), 2, 0], [...name('step'), 0, 0]])), // prettier-ignore
    ...section(10, vector([[...leb(body.length), ...body]])),
  ]);
}
