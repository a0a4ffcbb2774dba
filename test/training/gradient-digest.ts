import { createHash } from 'node:crypto';
import { buildProgram } from '../../training/prepare';
import { bitsAt, streamOf } from '../../training/random';
import { openTraining } from '../../training/runtime';

/** Prints the digest of one gradient of a net with every kind of layer: for comparing processes. */
async function main(): Promise<void> {
  const { program, files } = buildProgram({
    model: {
      layers: [
        { conv2d: { filters: 8, kernel: 5 } },
        'batchNorm',
        'relu',
        { maxPool2d: 2 },
        { residual: [{ conv2d: { filters: 8, kernel: 3, padding: 'same' } }, 'gelu'] },
        { maxPool2d: { size: 3, stride: 2 } },
        'flatten',
        { dense: 33 },
        'layerNorm',
        'tanh',
        { dense: 10 },
      ],
    },
    loss: 'softmax-cross-entropy',
    featureShape: [1, 20, 20],
    target: { kind: 'class', classes: 10 },
    seed: 9,
    laneBatches: [13],
  });
  const session = await openTraining(files.get('training-13.onnx')!, program, 13);
  const stream = streamOf(1);
  const into = new Float32Array(program.paramCount + program.bufferCount + 1);
  await session.run({
    params: new Float32Array(new Uint8Array(files.get('initial-params.f32')!).buffer),
    features: Float32Array.from({ length: 13 * 400 }, (_, i) => bitsAt(stream, i) / 2 ** 32),
    targets: Int32Array.from({ length: 13 }, (_, i) => i % 10),
    noise: [],
    into,
  });
  if (!into.every(Number.isFinite)) throw new Error('expected finite gradients');
  console.log(createHash('sha256').update(new Uint8Array(into.buffer)).digest('hex'));
}

void main();
