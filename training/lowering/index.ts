import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import type { At } from '../vjp/rule';
import { attentionLowerings } from './attention';
import { einsum } from './einsum';
import { lossLowerings } from './losses';
import { normLowerings } from './norms';
import { rearrangeLowerings } from './rearrange';
import { recurrentLowerings } from './recurrent';
import { samplingLowerings } from './sampling';
import { sequenceLowerings } from './sequences';

/**
 * Writes an operator out in others, which are what is differentiated and run. Returns its outputs, in order; nothing
 * when this form of the operator has a rule of its own.
 */
export type Lowering = (at: At, g: GraphWriter) => readonly (Value | undefined)[] | undefined;

/**
 * Every operator that smlt knows by others, one row each. To add one: its row in its family's file, rows in
 * test/training/derivatives, and its float64 forward in test/training/reference.
 */
export const lowerings: Readonly<Record<string, Lowering>> = {
  ...recurrentLowerings,
  ...attentionLowerings,
  ...normLowerings,
  ...lossLowerings,
  ...rearrangeLowerings,
  ...samplingLowerings,
  ...sequenceLowerings,
  Einsum: einsum,
};
