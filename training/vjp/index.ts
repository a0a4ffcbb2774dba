import { convRules } from './conv';
import { elementwiseRules } from './elementwise';
import { matmulRules } from './matmul';
import { normRules } from './norm';
import { reduceRules } from './reduce';
import type { Rule } from './rule';
import { shapeRules } from './shape';

/** Every operator that smlt knows, one row each. */
export const rules: Readonly<Record<string, Rule>> = {
  ...matmulRules,
  ...elementwiseRules,
  ...reduceRules,
  ...shapeRules,
  ...convRules,
  ...normRules,
};
