import { z } from 'zod';

/** One schema a kind. */
export const compressionForms = [
  z.strictObject({ kind: z.literal('fp16') }),
  z.strictObject({ kind: z.literal('bf16') }),
  z.strictObject({ kind: z.literal('qsgd'), bits: z.union([z.literal(4), z.literal(8)], 'expected 4 or 8').default(8) }),
  z.strictObject({
    kind: z.literal('top-k'),
    density: z.number().gt(0, 'expected more than 0').max(1, 'expected at most 1').default(0.01),
  }),
  z.strictObject({ kind: z.literal('significance'), threshold: z.number().positive('expected more than 0').default(0.01) }),
] as const;
const compressionKinds = compressionForms.map(({ shape }) => shape.kind.value);

/**
 * How sums of gradients are made smaller before they are exchanged (docs/compression.md). Lossy, so it is a part of the
 * recipe; who computes what still changes no bit.
 * `fp16`, `bf16`: two bytes an element, rounded to nearest at every node of the tree.
 * `qsgd`: 4 or 8 bits an element, rounded up or down at random at every node, so that expectations stay.
 * `top-k`: every lane sends the largest elements, this share of them, and adds what it keeps to its next gradient.
 * `significance`: the same with the elements that would move their parameter by more than threshold / sqrt(step + 1) of it.
 */
export const Compression = z.discriminatedUnion('kind', compressionForms, {
  error: (issue) => (issue.code === 'invalid_union' ? `unknown compression; expected kind ${compressionKinds.join(', ')}` : undefined),
});
export type Compression = z.output<typeof Compression>;

const FLOAT_BYTES = 4;
const HALF_BYTES = 2;
/** Elements that share a scale. */
const SCALED_TOGETHER = 256;
/** Running statistics and the loss, which follow the parameters, lie on a float's border. */
const onFloat = (bytes: number) => Math.ceil(bytes / FLOAT_BYTES) * FLOAT_BYTES;

/**
 * Bytes that a partial takes in the exchange, without its header; of a sparse one at most, since that depends on its values.
 * @param params  how many of its elements are gradients of parameters; the rest is never compressed
 * @param density  share of them that a sparse one holds; left out: all, the most that there can be
 */
export function partialBytes(compression: Compression | undefined, elements: number, params: number, density = 1): number {
  const rest = FLOAT_BYTES * (elements - params);
  switch (compression?.kind) {
    case undefined:
      return FLOAT_BYTES * elements;
    case 'fp16':
    case 'bf16':
      return onFloat(HALF_BYTES * params) + rest;
    case 'qsgd':
      return onFloat(FLOAT_BYTES * Math.ceil(params / SCALED_TOGETHER) + Math.ceil((params * compression.bits) / 8)) + rest;
    case 'top-k':
    case 'significance':
      return (params > 0 ? FLOAT_BYTES * (1 + sparseWords(params, Math.ceil(density * params))) : 0) + rest;
  }
}

/** Indices and values, a bit for each element and values, or all values. */
const sparseWords = (elements: number, values: number): number => Math.min(2 * values, Math.ceil(elements / 32) + values, elements);
