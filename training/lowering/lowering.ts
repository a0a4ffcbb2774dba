import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import type { At } from '../vjp/rule';

/**
 * Writes an operator out in others, which are what is differentiated and run. Returns its outputs, in order; nothing
 * when this form of the operator has a rule of its own.
 */
export type Lowering = (at: At, g: GraphWriter) => readonly (Value | undefined)[] | undefined;
