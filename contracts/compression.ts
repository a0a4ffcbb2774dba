import { z } from 'zod';

const kinds = [z.strictObject({ kind: z.literal('fp16') }), z.strictObject({ kind: z.literal('bf16') })] as const;
export const compressionKinds = kinds.map(({ shape }) => shape.kind.value);

/**
 * How sums of gradients are made smaller before they are exchanged (docs/compression.md). Lossy, so it is a part of the
 * recipe; who computes what still changes no bit.
 * `fp16`, `bf16`: two bytes an element, rounded to nearest at every node of the tree.
 */
export const Compression = z.discriminatedUnion('kind', kinds, {
  error: (issue) => (issue.code === 'invalid_union' ? `unknown compression; expected kind ${compressionKinds.join(', ')}` : undefined),
});
export type Compression = z.output<typeof Compression>;

const FLOAT_BYTES = 4;
const HALF_BYTES = 2;
/** Running statistics and the loss, which follow the parameters, lie on a float's border. */
const onFloat = (bytes: number) => Math.ceil(bytes / FLOAT_BYTES) * FLOAT_BYTES;

/**
 * Bytes that a partial takes in the exchange, without its header.
 * @param params  how many of its elements are gradients of parameters; the rest is never compressed
 */
export function partialBytes(compression: Compression | undefined, elements: number, params: number): number {
  const rest = FLOAT_BYTES * (elements - params);
  switch (compression?.kind) {
    case undefined:
      return FLOAT_BYTES * elements;
    case 'fp16':
    case 'bf16':
      return onFloat(HALF_BYTES * params) + rest;
  }
}
