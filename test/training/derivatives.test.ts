/** @jest-environment ./test/support/native-arrays.ts */
import * as ort from 'onnxruntime-node';
import { differentiate } from '../../training/differentiate';
import { fixBatch } from '../../training/fix-batch';
import { lowerings } from '../../training/lowering/index';
import { sequenceLowerings } from '../../training/lowering/sequences';
import { encodeModel } from '../../training/onnx/codec';
import { rules } from '../../training/vjp/index';
import { attention } from './derivatives/attention';
import { elementwise } from './derivatives/elementwise';
import { gathers } from './derivatives/gathers';
import { graphOf, nameOf, prepare, verify } from './derivatives/harness';
import { losses } from './derivatives/losses';
import { norms } from './derivatives/norms';
import { products } from './derivatives/products';
import { recurrent } from './derivatives/recurrent';
import { reductions } from './derivatives/reductions';
import type { Row } from './derivatives/row';
import { shapes } from './derivatives/shapes';
import { windows } from './derivatives/windows';

const table: readonly Row[] = [
  ...elementwise,
  ...reductions,
  ...shapes,
  ...gathers,
  ...products,
  ...windows,
  ...norms,
  ...recurrent,
  ...attention,
  ...losses,
];

// A loaded machine takes long to open a session.
jest.setTimeout(30_000);

describe('a derivative rule', () => {
  it.each(table.map((row) => [nameOf(row), row] as const))('agrees with central differences in float64: %s', (_name, row) => verify(row));

  it('splits the gradient of a tied maximum equally, so that its sum is kept', async () => {
    const tied: Row = { op: 'MaxPool', inputs: [[1, 1, 2, 4]], options: { kernel_shape: [2, 2], strides: [2, 2] } };
    const prepared = prepare(tied.inputs);
    const fixed = fixBatch(graphOf(tied, prepared), [], new Set(['in0']));
    const { g } = fixed;
    const dY = g.define({ name: 'dY', shape: [1, 1, 1, 2], type: 'float32' });
    const gradient = differentiate(fixed, ['in0'], fixed.valueOf('y'), dY).get('in0')!;
    const session = await ort.InferenceSession.create(encodeModel(g.graph('ties', [dY, fixed.valueOf('in0')], [gradient])), { logSeverityLevel: 3 });
    const results = await session.run({
      dY: new ort.Tensor('float32', Float32Array.of(8, 3), [1, 1, 1, 2]),
      in0: new ort.Tensor('float32', Float32Array.of(5, 5, 1, 7, 5, 5, 7, 7), [1, 1, 2, 4]),
    });
    expect(Array.from(results[gradient.name]!.data as Float32Array)).toEqual([2, 2, 0, 1, 2, 2, 1, 1]);
  });

  it('has a row in this table when it has a gradient', () => {
    const tested = new Set(table.map(({ op }) => op));
    const withGradient = Object.entries(rules).filter(([, rule]) => rule.gradients !== 'zero');
    // Sequences take several nodes: control-flow.test.ts.
    const lowered = Object.keys(lowerings).filter((op) => !(op in sequenceLowerings));
    const untested = [...withGradient.map(([op]) => op), ...lowered].filter((op) => !tested.has(op));
    expect(untested).toEqual([]);
  });
});
