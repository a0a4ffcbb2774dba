import type { Method } from './method';

/*
 * Sums that are mostly zero, without loss: a count, then whichever of three forms takes the fewest bytes for it.
 *   few:   the elements' indices, uint32, then their values
 *   some:  one bit for each element, then the values of those whose bit is set
 *   most:  all values
 * Little-endian, as all numbers in the exchange. A zero is an element whose bits are all zero: -0 is a value.
 */
const WORD = 4;
const maskWords = (elements: number) => Math.ceil(elements / 32);

type Form = 'few' | 'some' | 'most';
function formOf(count: number, elements: number): Form {
  const [few, some] = [2 * count, maskWords(elements) + count];
  if (few <= some && few < elements) return 'few';
  return some < elements ? 'some' : 'most';
}

export const sparse: Pick<Method, 'fixedSize' | 'bytesFor' | 'encode' | 'decode'> = {
  fixedSize: false,
  bytesFor: (elements) => WORD * (1 + elements),

  encode(sum, out) {
    const elements = sum.length;
    const values = new Uint32Array(sum.buffer, sum.byteOffset, elements);
    const words = new Uint32Array(out.buffer, out.byteOffset, 1 + elements);
    let count = 0;
    for (let i = 0; i < elements; i++) if (values[i] !== 0) count++;
    words[0] = count;
    switch (formOf(count, elements)) {
      case 'most':
        words.set(values, 1);
        return WORD * (1 + elements);
      case 'few': {
        let at = 1;
        for (let i = 0; i < elements; i++) {
          if (values[i] === 0) continue;
          words[at] = i;
          words[count + at++] = values[i]!;
        }
        return WORD * (1 + 2 * count);
      }
      case 'some': {
        const mask = words.subarray(1, 1 + maskWords(elements)).fill(0);
        let at = 1 + mask.length;
        for (let i = 0; i < elements; i++) {
          if (values[i] === 0) continue;
          mask[i >>> 5]! |= 1 << (i & 31);
          words[at++] = values[i]!;
        }
        return WORD * at;
      }
    }
  },

  decode(bytes, sum) {
    const elements = sum.length;
    const values = new Uint32Array(sum.buffer, sum.byteOffset, elements);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
    const count = words[0]!;
    const form = formOf(count, elements);
    if (form === 'most') return values.set(words.subarray(1, 1 + elements));
    values.fill(0);
    if (form === 'few') {
      for (let at = 1; at <= count; at++) values[words[at]!] = words[count + at]!;
      return undefined;
    }
    const mask = words.subarray(1, 1 + maskWords(elements));
    let at = 1 + mask.length;
    for (let i = 0; i < elements; i++) if ((mask[i >>> 5]! >>> (i & 31)) & 1) values[i] = words[at++]!;
    return undefined;
  },
};
