import { elementwiseFolds } from './elementwise';
import { reduceFolds } from './reduce';
import { shapeFolds } from './shape';
import type { Fold } from './tensor';

/** Larger results are left to ONNX Runtime. */
export const FOLD_LIMIT = 1 << 20;

/** What exporters write to compute shapes, masks and positions: evaluated once the batch is fixed. */
export const folds: Readonly<Record<string, Fold>> = { ...shapeFolds, ...elementwiseFolds, ...reduceFolds };
