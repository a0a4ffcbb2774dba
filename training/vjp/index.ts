import { convRules } from './conv';
import { elementwiseRules } from './elementwise';
import { gatherRules } from './gather';
import { matmulRules } from './matmul';
import { normRules } from './norm';
import { reduceRules } from './reduce';
import { resizeRules } from './resize';
import type { Rule } from './rule';
import { shapeRules } from './shape';

/**
 * Every operator that smlt knows, one row each. To add one: its row in its family's file, a row in
 * test/training/derivatives.test.ts, and its float64 forward in test/training/reference.ts.
 */
export const rules: Readonly<Record<string, Rule>> = {
  ...matmulRules,
  ...elementwiseRules,
  ...reduceRules,
  ...shapeRules,
  ...gatherRules,
  ...resizeRules,
  ...convRules,
  ...normRules,
};
