import type { Program } from '../../contracts/program';

/** What a data set says of its targets: class labels, or values of a width. */
export type Target = Program['target'];

/** Type and shape of a micro-batch's targets as the graph takes them. */
export const targetInput = (target: Target, samples: number): { type: 'int32' | 'float32'; shape: number[] } =>
  target.kind === 'class' ? { type: 'int32', shape: [samples] } : { type: 'float32', shape: [samples, target.width] };
