/** @jest-environment ./test/support/native-arrays.ts */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as ort from 'onnxruntime-node';
import fc from 'fast-check';
import { MetricSums } from '../../contracts/functions';
import { Loss } from '../../contracts/loss';
import { GraphWriter } from '../../training/graph-writer';
import { isWeighted, writeLoss } from '../../training/losses';
import { targetInput, type Target } from '../../training/losses/target';
import { measure, mergeSums, metricsFor, metricsOf } from '../../training/metrics';
import { encodeModel } from '../../training/onnx/codec';

interface Case {
  readonly loss: unknown;
  readonly target: Target;
  readonly samples: number;
  readonly outputs: number[];
  readonly outputShape: number[];
  readonly targets: number[];
  readonly features?: number[];
  readonly expected: { readonly loss: number; readonly gradient: number[]; readonly metrics: Record<string, number> };
}
type Given = Omit<Case, 'loss'>;
const { cases } = JSON.parse(readFileSync(path.join(__dirname, 'fixtures', 'losses.json'), 'utf8')) as { cases: Case[] };
const named = cases.map((each) => ({
  ...each,
  loss: Loss.parse(each.loss),
  name: `${JSON.stringify(each.loss)} of [${each.outputShape.join(', ')}]`,
}));

const numbersOf = ({ target, targets }: Given) => (target.kind === 'class' ? Int32Array.from(targets) : Float32Array.from(targets));

/** The loss's graph alone, run as it is in training. */
async function run(given: Given, loss: Loss) {
  const { target, samples, outputs, outputShape, features } = given;
  const g = new GraphWriter();
  const z = g.define({ name: 'z', type: 'float32', shape: [samples, ...outputShape] });
  const y = g.define({ name: 'y', ...targetInput(target, samples) });
  const x = features && g.define({ name: 'x', type: 'float32', shape: [samples, features.length / samples] });
  const written = writeLoss(loss, g, z, y, target, x);
  const results = [written.loss, written.gradient, ...(written.weight ? [written.weight] : [])];
  const session = await ort.InferenceSession.create(encodeModel(g.graph('loss', x ? [z, y, x] : [z, y], results)));
  const targets = numbersOf(given);
  const feeds: Record<string, ort.Tensor> = {
    z: new ort.Tensor('float32', Float32Array.from(outputs), z.shape),
    y: targets instanceof Int32Array ? new ort.Tensor('int32', targets, y.shape) : new ort.Tensor('float32', targets, y.shape),
    ...(x ? { x: new ort.Tensor('float32', Float32Array.from(features), x.shape) } : {}),
  };
  const made = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!])));
  await session.release();
  const [sum, gradient, weight] = results.map(({ name }) => made[name]!.data as Float32Array);
  const divisor = weight?.[0] ?? samples;
  return { loss: sum![0]! / divisor, gradient: gradient!.map((value) => value / divisor) };
}

describe.each(named)('$name', ({ loss, ...given }) => {
  const { target, samples, outputs, outputShape, features, expected } = given;
  it("has PyTorch's loss and gradient (fixtures/make_losses.py)", async () => {
    const made = await run(given, loss);
    expect(Math.abs(made.loss / expected.loss - 1)).toBeLessThan(1e-6);
    const scale = Math.max(...expected.gradient.map(Math.abs));
    expected.gradient.forEach((value, i) => expect(Math.abs(made.gradient[i]! - value) / scale).toBeLessThan(2e-6));
  });

  const part = (start: number, end: number) => {
    const cut = <T extends Float32Array | Int32Array>(all: T) => all.subarray((start * all.length) / samples, (end * all.length) / samples) as T;
    return measure({
      loss,
      target,
      outputs: cut(Float32Array.from(outputs)),
      outputShape,
      targets: cut(numbersOf(given)),
      features: features && cut(Float32Array.from(features)),
    });
  };
  it("is measured with PyTorch's loss and scikit-learn's metrics", () => {
    const found = metricsOf(part(0, samples), loss, target);
    expect(found).toMatchObject({
      loss: expect.closeTo(expected.loss, 9),
      ...Object.fromEntries(Object.entries(expected.metrics).map(([name, value]) => [name, expect.closeTo(value, 9)])),
    });
    expect(Object.keys(expected.metrics).filter((name) => !metricsFor(loss, target).some((known) => known === name))).toEqual([]);
  });

  it('is measured with the same bits for every cut into functions, in every order, through JSON', () => {
    const whole = part(0, samples);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: samples - 1 }), { maxLength: 6 }), fc.nat(), (inner, turn) => {
        const borders = [0, ...inner.sort((a, b) => a - b), samples];
        const parts = borders.slice(1).map((end, i) => MetricSums.parse(JSON.parse(JSON.stringify(part(borders[i]!, end)))));
        const merged = mergeSums([...parts.slice(turn % parts.length), ...parts.slice(0, turn % parts.length)]);
        expect({ ...merged, exact: undefined }).toEqual({ ...whole, exact: undefined });
      }),
      { numRuns: 10 },
    );
  });
});

describe('a loss that cannot be', () => {
  const written = (loss: unknown, outputShape: number[], target: Target, featureWidth = 1) => {
    const g = new GraphWriter();
    const features = g.define({ name: 'x', type: 'float32', shape: [3, featureWidth] });
    const z = g.define({ name: 'z', type: 'float32', shape: [3, ...outputShape] });
    return writeLoss(Loss.parse(loss), g, z, g.define({ name: 'y', ...targetInput(target, 3) }), target, features);
  };
  it.each([
    ['softmax-cross-entropy', [4], { kind: 'class', classes: 5 }, 'expected [N, 5]'],
    ['softmax-cross-entropy', [4], { kind: 'values', width: 3 }, 'needs class labels'],
    [{ kind: 'softmax-cross-entropy', classWeights: [1, 2] }, [4], { kind: 'class', classes: 4 }, 'expected 4 classWeights'],
    ['next-token', [8, 4], { kind: 'values', width: 1 }, 'features are 1 numbers'],
    ['bce-with-logits', [3], { kind: 'class', classes: 3 }, 'expected [N, 1]'],
    ['hinge', [3], { kind: 'class', classes: 4 }, 'expected [N, 4]'],
    ['huber', [1], { kind: 'class', classes: 3 }, 'holds classes, not values'],
    ['kl-divergence', [4], { kind: 'values', width: 3 }, 'expected 3 value(s) a sample'],
  ] as [unknown, number[], Target, string][])('is refused with what would fit: %j of %j', (loss, shape, target, message) => {
    expect(() => written(loss, shape, target)).toThrow(expect.objectContaining({ code: 'InvalidSpec', message: expect.stringContaining(message) }));
  });
  it.each([
    ['cross-entropy', 'expected one of softmax-cross-entropy, next-token'],
    [{ kind: 'huber', delta: 0 }, 'expected'],
    [{ kind: 'softmax-cross-entropy', labelSmoothing: 1 }, 'expected'],
  ])('is refused by its schema: %j', (loss, message) => {
    expect(() => Loss.parse(loss)).toThrow(message);
  });
  it('weighs differently only with an ignored label or class weights', () => {
    expect(named.filter(({ loss }) => isWeighted(loss)).every(({ loss }) => JSON.stringify(loss).match(/ignoreIndex|classWeights/))).toBe(true);
    expect(isWeighted('softmax-cross-entropy')).toBe(false);
  });
  it('measured on a label that is no class, names its place', () => {
    const target = { kind: 'values', width: 2 } as const;
    const given = { loss: 'softmax-cross-entropy', target, outputs: new Float32Array(6), outputShape: [2, 3] } as const;
    expect(() => measure({ ...given, targets: Float32Array.of(1, 3) })).toThrow('position 1 of sample 0 has label 3');
  });
});
