import type { GraphWriter } from '../graph-writer';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import type { At } from '../vjp/rule';
import { inputsOf } from '../vjp/rule';
import type { Lowering } from './lowering';

/*
 * Sequences, whose length is known once the batch is fixed: they are kept as lists of values while the graph is read,
 * and none is left in what runs.
 */

const sequenceOf = (elements: readonly Value[], like?: Value): Value => ({
  name: '',
  shape: [],
  type: elements[0]?.type ?? like?.type ?? 'float32',
  sequence: elements,
});

function elements(at: At, value: Value): readonly Value[] {
  if (!value.sequence) throw at.refuse(`its input '${value.name}' is no sequence made in the graph`, 'tensors as inputs of the model');
  return value.sequence;
}

/** An index into a sequence of `length`, from its end when negative. */
const indexOf = (at: At, position: Value, length: number): number => axisOf(at.known(position, 'position')[0] ?? 0, length);

const without = (shape: readonly number[], axis: number): number[] => shape.toSpliced(axis, 1);

export const sequenceLowerings: Readonly<Record<string, Lowering>> = {
  /** A copy of a sequence is the sequence; a tensor's is a rule of its own. */
  Identity: (at) => (at.inputs[0]?.sequence ? [at.inputs[0]] : undefined),
  SequenceEmpty: () => [sequenceOf([])],
  SequenceConstruct: (at) => [sequenceOf(at.inputs.filter((input) => input !== undefined))],
  SequenceAt: (at) => {
    const { input, position } = inputsOf(at, ['input', 'position']);
    const all = elements(at, input);
    return [all[indexOf(at, position, all.length)]];
  },
  SequenceLength: (at, g) => {
    const { input } = inputsOf(at, ['input']);
    return [g.scalar(elements(at, input).length, 'int64')];
  },
  SequenceInsert: (at) => {
    const { input, tensor, position } = inputsOf(at, ['input', 'tensor', 'position?']);
    const all = elements(at, input);
    return [sequenceOf(all.toSpliced(position ? indexOf(at, position, all.length + 1) : all.length, 0, tensor))];
  },
  SequenceErase: (at) => {
    const { input, position } = inputsOf(at, ['input', 'position?']);
    const all = elements(at, input);
    return [sequenceOf(all.toSpliced(position ? indexOf(at, position, all.length) : all.length - 1, 1), input)];
  },
  /** Parts of equal length (the last may be shorter) or of the given ones; without either single slices, by default without their axis. */
  SplitToSequence: (at, g) => {
    const { input, split } = inputsOf(at, ['input', 'split?']);
    const axis = axisOf(at.int('axis', 0), input.shape.length);
    const size = input.shape[axis] ?? 1;
    const listed = split && at.known(split, 'split');
    const each = listed && split.shape.length === 0 ? (listed[0] ?? 1) : 1;
    const sizes =
      listed && split.shape.length === 1 ? listed : Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each));
    const parts = g.split(input, axis, sizes);
    const drops = !split && at.int('keepdims', 1) === 0;
    return [sequenceOf(drops ? parts.map((part) => g.reshape(part, without(part.shape, axis))) : parts, input)];
  },
  ConcatFromSequence: (at, g: GraphWriter) => {
    const { input } = inputsOf(at, ['input']);
    const all = elements(at, input);
    const first = all[0];
    if (!first) throw at.refuse('an empty sequence', 'a sequence of tensors');
    const stacks = at.int('new_axis', 0) === 1;
    const axis = axisOf(at.int('axis', 0), first.shape.length + (stacks ? 1 : 0));
    return [g.concat(stacks ? all.map((each) => g.reshape(each, each.shape.toSpliced(axis, 0, 1))) : all, axis)];
  },
};
