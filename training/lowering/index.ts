import { attentionLowerings } from './attention';
import { einsum } from './einsum';
import { lossLowerings } from './losses';
import type { Lowering } from './lowering';
import { normLowerings } from './norms';
import { rearrangeLowerings } from './rearrange';
import { recurrentLowerings } from './recurrent';
import { samplingLowerings } from './sampling';
import { sequenceLowerings } from './sequences';

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
