import type { GraphWriter } from '../graph-writer';
import { elementsOf } from '../graph-writer';
import { int, intTensor, sizeOf, text } from '../onnx/graph';
import type { Value } from '../shapes';
import { axisOf } from '../shapes';
import type { At, Rule } from './rule';
import { row } from './rule';

/** Indices as they are, negative ones counted from the end. */
const fromStart = (g: GraphWriter, indices: Value, size: number): Value => g.where(g.compare('Less', indices, 0), g.add(indices, size), indices);

/** GatherND's indices with the batch axes' own positions put before them: what ScatterND takes. */
function withBatch(g: GraphWriter, data: Value, indices: Value, batchDims: number): Value {
  if (batchDims === 0) return indices;
  const batch = data.shape.slice(0, batchDims);
  const inner = indices.shape.slice(batchDims, -1);
  const rows = sizeOf(inner);
  const positions: number[] = [];
  for (let flat = 0; flat < sizeOf(batch) * rows; flat++)
    batch.forEach((size, axis) => positions.push(Math.floor(flat / (rows * sizeOf(batch.slice(axis + 1)))) % size));
  return g.concat([g.constant(intTensor([...batch, ...inner, batchDims], positions)), g.cast(indices, 'int64')], -1);
}

type Reduction = 'none' | 'add' | 'min' | 'max';

/**
 * Y = data with updates written or reduced in at indices. `read` takes elements out of a tensor of data's shape where
 * updates went; `write` puts some there.
 * With `add` both operands see dY; with `max` and `min` those that tie for the extreme share it (as torch.scatter_reduce).
 */
const scatter = (
  read: (g: GraphWriter, from: Value, indices: Value, updates: Value, at: At) => Value,
  write: (g: GraphWriter, into: Value, indices: Value, updates: Value, at: At, reduction: 'none' | 'add') => Value,
): Rule =>
  row(['data', 'indices', 'updates'], {
    shape: ({ data }) => data.shape,
    gradient: ({ data, indices, updates }, dY, g, at) => {
      const reduction = at.text('reduction', 'none') as Reduction;
      if (!['none', 'add', 'min', 'max'].includes(reduction)) throw at.refuse(`reduction ${reduction}`, 'reduction none, add, min or max');
      const taken = (from: Value) => read(g, from, indices, updates, at);
      if (reduction === 'none') {
        const zeros = () => g.full(updates.shape, 0, updates.type);
        return { data: () => write(g, dY, indices, zeros(), at, 'none'), updates: () => taken(dY) };
      }
      if (reduction === 'add') return { data: () => dY, updates: () => taken(dY) };
      const own = () => g.mask(g.compare('Equal', data, at.Y), data.type);
      const theirs = () => g.mask(g.compare('Equal', updates, taken(at.Y)), data.type);
      const share = () => g.div(dY, write(g, own(), indices, theirs(), at, 'add'));
      return { data: () => g.mul(share(), own()), updates: () => g.mul(taken(share()), theirs()) };
    },
  });

/** What reads and writes elements by index. */
export const gatherRules: Record<string, Rule> = {
  /** Rows of X by index: dX adds dY up where the rows came from. */
  Gather: row(['data', 'indices'], {
    shape: ({ data, indices }, at) => {
      const axis = axisOf(at.int('axis', 0), data.shape.length);
      return [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
    },
    gradient: ({ data, indices }, dY, g, at) => ({
      data: () => {
        const axis = axisOf(at.int('axis', 0), data.shape.length);
        const [before, after] = [data.shape.slice(0, axis), data.shape.slice(axis + 1)];
        const count = elementsOf(indices);
        const padding = at.node.paddingIndex;
        const rows = g.reshape(dY, [...before, count, ...after]);
        const aligned = [...before.map(() => 1), count, ...after.map(() => 1)];
        const updates = padding === undefined ? rows : g.where(g.compare('Equal', g.reshape(indices, aligned), padding), 0, rows);
        const positive = fromStart(g, indices, data.shape[axis] ?? 1);
        // Rows of a table, such as embeddings: whole rows are added at once.
        if (axis === 0) return g.scatterRows(data.shape, g.cast(g.reshape(positive, [count, 1]), 'int64'), updates);
        const along = g.reshape(positive, aligned);
        return g.scatterAdd(data.shape, g.expand(along, updates.shape), updates, axis);
      },
    }),
  }),
  GatherElements: row(['data', 'indices'], {
    shape: ({ data, indices }) => ({ shape: indices.shape, type: data.type }),
    gradient: ({ data, indices }, dY, g, at) => {
      const axis = axisOf(at.int('axis', 0), data.shape.length);
      return { data: () => g.scatterAdd(data.shape, fromStart(g, indices, data.shape[axis] ?? 1), dY, axis) };
    },
  }),
  GatherND: row(['data', 'indices'], {
    shape: ({ data, indices }, at) => {
      const depth = at.int('batch_dims', 0) + (indices.shape.at(-1) ?? 0);
      return [...indices.shape.slice(0, -1), ...data.shape.slice(depth)];
    },
    gradient: ({ data, indices }, dY, g, at) => ({
      data: () => g.scatterRows(data.shape, withBatch(g, data, indices, at.int('batch_dims', 0)), dY),
    }),
  }),

  ScatterElements: scatter(
    (g, from, indices, updates, at) => g.emit('GatherElements', [from, indices], updates, { axis: int(at.int('axis', 0)) }),
    (g, into, indices, updates, at, reduction) =>
      g.emit('ScatterElements', [into, indices, updates], into, { axis: int(at.int('axis', 0)), reduction: text(reduction) }),
  ),
  ScatterND: scatter(
    (g, from, indices, updates) => g.emit('GatherND', [from, indices], updates),
    (g, into, indices, updates, _, reduction) => g.emit('ScatterND', [into, indices, updates], into, { reduction: text(reduction) }),
  ),

  /** dX holds dY where the chosen elements were. */
  TopK: row(['X', 'K'], {
    shape: ({ X, K }, at) => {
      const axis = axisOf(at.int('axis', -1), X.shape.length);
      const shape = X.shape.with(axis, at.known(K, 'K')[0] ?? 1);
      return [
        { shape, type: X.type },
        { shape, type: 'int64' },
      ];
    },
    gradient: ({ X }, dY, g, at) => ({
      X: () => g.scatterAdd(X.shape, at.output(1), dY, axisOf(at.int('axis', -1), X.shape.length)),
    }),
  }),
  OneHot: row(['indices', 'depth', 'values'], {
    shape: ({ indices, depth, values }, at) => {
      const axis = axisOf(at.int('axis', -1), indices.shape.length + 1);
      return { shape: indices.shape.toSpliced(axis, 0, at.known(depth, 'depth')[0] ?? 1), type: values.type };
    },
    gradient: 'zero',
  }),
};
