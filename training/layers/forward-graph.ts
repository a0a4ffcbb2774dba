import { SmltError } from '../../contracts/errors';
import type { Layer } from '../../contracts/model';
import { OPSET } from '../graph-writer';
import type { Attributes, Graph, Node, Tensor } from '../onnx/graph';
import { float, int, ints, intTensor, sizeOf } from '../onnx/graph';
import { sameShape, show, windowShape } from '../shapes';
import { filled, glorotBound, heBound, uniformTensor } from './initial';

type Shape = readonly number[];
/** What flows between layers: a value and the shape of one sample of it. */
interface Flow {
  readonly name: string;
  readonly shape: Shape;
}
type Options<K extends string> = Extract<Layer, { [key in K]: unknown }>[K & keyof Extract<Layer, { [key in K]: unknown }>];

const activations: Record<string, { op: string; rectifier: boolean; attributes?: Attributes }> = {
  relu: { op: 'Relu', rectifier: true },
  leakyRelu: { op: 'LeakyRelu', rectifier: true, attributes: { alpha: float(0.01) } },
  elu: { op: 'Elu', rectifier: true, attributes: { alpha: float(1) } },
  selu: { op: 'Selu', rectifier: true },
  gelu: { op: 'Gelu', rectifier: true },
  sigmoid: { op: 'Sigmoid', rectifier: false },
  tanh: { op: 'Tanh', rectifier: false },
  softplus: { op: 'Softplus', rectifier: true },
  // With torch.nn.Hardsigmoid's slope, not ONNX's default.
  hardSigmoid: { op: 'HardSigmoid', rectifier: false, attributes: { alpha: float(1 / 6), beta: float(0.5) } },
  hardSwish: { op: 'HardSwish', rectifier: true },
};

const pair = (value: number | readonly [number, number]): [number, number] => (typeof value === 'number' ? [value, value] : [...value]);

/**
 * Writes a sequence of layers as an ONNX forward graph with a dynamic batch and initial parameters, just as an exporter
 * would: Dropout and BatchNormalization are left for `prepare.ts` to put into training form.
 * Weights are PyTorch's: dense `[units, inputs]`, conv2d `[filters, channels / groups, height, width]`.
 */
export function forwardGraph(layers: readonly Layer[], featureShape: Shape, seed: number): Graph {
  const builder = new LayerBuilder(seed);
  const input: Flow = { name: 'features', shape: featureShape };
  const output = builder.sequence(layers, input, 'layer');
  builder.node('Identity', 'outputs', [output.name], 'outputs');
  return {
    name: 'forward',
    opset: OPSET,
    nodes: builder.nodes,
    initializers: builder.initializers,
    inputs: [{ name: input.name, type: 'float32', shape: ['N', ...featureShape] }],
    outputs: [{ name: 'outputs', type: 'float32', shape: ['N', ...output.shape] }],
  };
}

class LayerBuilder {
  readonly nodes: Node[] = [];
  readonly initializers = new Map<string, Tensor>();
  private weights = 0;

  constructor(private readonly seed: number) {}

  sequence(layers: readonly Layer[], input: Flow, prefix: string): Flow {
    return layers.reduce<Flow>((flow, layer, i) => this.layer(layer, flow, `${prefix}${i}`, followedByRectifier(layers, i)), input);
  }

  node(op: string, name: string, inputs: readonly string[], output: string, attributes: Attributes = {}): void {
    this.nodes.push({ op, domain: '', name, inputs, outputs: [output], attributes });
  }

  private put(name: string, tensor: Tensor): string {
    this.initializers.set(name, tensor);
    return name;
  }

  private emit(op: string, name: string, inputs: readonly string[], shape: Shape, attributes: Attributes = {}): Flow {
    const output = `${name}.out`;
    this.node(op, name, inputs, output, attributes);
    return { name: output, shape };
  }

  private weight(name: string, shape: Shape, rectifier: boolean): string {
    const inner = sizeOf(shape.slice(2));
    const [fanIn, fanOut] = [(shape[1] ?? 1) * inner, (shape[0] ?? 1) * inner];
    const bound = rectifier ? heBound(fanIn) : glorotBound(fanIn, fanOut);
    return this.put(name, uniformTensor(shape, bound, this.seed, this.weights++));
  }

  private layer(layer: Layer, input: Flow, name: string, rectifier: boolean): Flow {
    if (typeof layer === 'string') {
      const activation = activations[layer];
      if (activation) return this.emit(activation.op, name, [input.name], input.shape, activation.attributes);
      switch (layer) {
        case 'flatten':
          return this.flatten(input, name);
        case 'globalAveragePool2d': {
          const channels = this.image(input, name, layer)[0];
          const pooled = this.emit('GlobalAveragePool', `${name}.pool`, [input.name], [channels, 1, 1]);
          return this.flatten(pooled, name);
        }
        case 'batchNorm':
          return this.batchNorm({}, input, name);
        case 'layerNorm':
          return this.layerNorm(input, name);
      }
    }
    if (typeof layer !== 'object') throw new SmltError('InvalidSpec', `${name}: unknown layer ${JSON.stringify(layer)}`);
    if ('dense' in layer) return this.dense(layer.dense, input, name, rectifier);
    if ('conv2d' in layer) return this.conv2d(layer.conv2d, input, name, rectifier);
    if ('maxPool2d' in layer) return this.pool('MaxPool', layer.maxPool2d, input, name);
    if ('averagePool2d' in layer) return this.pool('AveragePool', layer.averagePool2d, input, name);
    if ('dropout' in layer) return this.dropout(layer.dropout, input, name);
    if ('batchNorm' in layer) return this.batchNorm(layer.batchNorm, input, name);
    if ('reshape' in layer) return this.reshape(layer.reshape, input, name);
    return this.residual(layer.residual, input, name);
  }

  private flatten(input: Flow, name: string): Flow {
    return this.emit('Flatten', name, [input.name], [sizeOf(input.shape)], { axis: int(1) });
  }

  private dense(options: Options<'dense'>, input: Flow, name: string, rectifier: boolean): Flow {
    const { units, bias = true } = typeof options === 'number' ? { units: options } : options;
    if (input.shape.length !== 1) throw misfit(name, 'dense', '[N, F]', input, 'put "flatten" before it');
    const weight = this.weight(`${name}.weight`, [units, input.shape[0] ?? 1], rectifier);
    const inputs = [input.name, weight, ...(bias ? [this.put(`${name}.bias`, filled([units], 0))] : [])];
    return this.emit('Gemm', name, inputs, [units], { transB: int(1) });
  }

  private image(input: Flow, name: string, layer: string): [number, number, number] {
    if (input.shape.length !== 3)
      throw misfit(name, layer, '[N, C, H, W]', input, `put a reshape before it, such as { "reshape": [1, 28, 28] } for 784 values`);
    return input.shape as unknown as [number, number, number];
  }

  private conv2d(options: Options<'conv2d'>, input: Flow, name: string, rectifier: boolean): Flow {
    const [channels, height, width] = this.image(input, name, 'conv2d');
    const { filters, padding = 'valid', groups = 1, bias = true } = options;
    const [kernel, strides] = [pair(options.kernel), pair(options.stride ?? 1)];
    if (channels % groups !== 0 || filters % groups !== 0)
      throw new SmltError(
        'InvalidSpec',
        `${name}: conv2d with ${groups} groups: expected them to divide ${channels} channels and ${filters} filters`,
      );
    const pads = padding === 'same' ? samePads([height, width], kernel, strides) : [0, 0, 0, 0];
    const window = { kernel, strides, dilations: [1, 1], pads };
    const spatial = this.windows([height, width], window, name, 'conv2d');
    const weight = this.weight(`${name}.weight`, [filters, channels / groups, ...kernel], rectifier);
    const inputs = [input.name, weight, ...(bias ? [this.put(`${name}.bias`, filled([filters], 0))] : [])];
    const attributes = { kernel_shape: ints(kernel), strides: ints(strides), pads: ints(pads), group: int(groups) };
    return this.emit('Conv', name, inputs, [filters, ...spatial], attributes);
  }

  private pool(op: 'MaxPool' | 'AveragePool', options: Options<'maxPool2d'>, input: Flow, name: string): Flow {
    const layer = op === 'MaxPool' ? 'maxPool2d' : 'averagePool2d';
    const [channels, height, width] = this.image(input, name, layer);
    const { size, stride = size } = typeof options === 'number' ? { size: options } : options;
    const window = { kernel: pair(size), strides: pair(stride ?? size), dilations: [1, 1], pads: [0, 0, 0, 0] };
    const spatial = this.windows([height, width], window, name, layer);
    return this.emit(op, name, [input.name], [channels, ...spatial], { kernel_shape: ints(window.kernel), strides: ints(window.strides) });
  }

  private windows(spatial: Shape, window: Parameters<typeof windowShape>[1], name: string, layer: string): number[] {
    try {
      return windowShape(spatial, window);
    } catch (error) {
      throw new SmltError('InvalidSpec', `${name}: ${layer}: ${(error as Error).message}; use a smaller window or padding "same"`, { cause: error });
    }
  }

  private dropout(rate: number, input: Flow, name: string): Flow {
    if (rate === 0) return input;
    const ratio = this.put(`${name}.rate`, { type: 'float32', shape: [], data: Float32Array.of(rate) });
    return this.emit('Dropout', name, [input.name, ratio], input.shape);
  }

  private batchNorm({ momentum = 0.1, epsilon = 1e-5 }: Options<'batchNorm'>, input: Flow, name: string): Flow {
    if (input.shape.length !== 1 && input.shape.length !== 3)
      throw misfit(name, 'batchNorm', '[N, F] or [N, C, H, W]', input, 'put "flatten" before it');
    const shape = [input.shape[0] ?? 1];
    const inputs = [
      input.name,
      this.put(`${name}.weight`, filled(shape, 1)),
      this.put(`${name}.bias`, filled(shape, 0)),
      this.put(`${name}.mean`, filled(shape, 0)),
      this.put(`${name}.variance`, filled(shape, 1)),
    ];
    return this.emit('BatchNormalization', name, inputs, input.shape, { epsilon: float(epsilon), momentum: float(1 - momentum) });
  }

  private layerNorm(input: Flow, name: string): Flow {
    const inputs = [input.name, this.put(`${name}.weight`, filled(input.shape, 1)), this.put(`${name}.bias`, filled(input.shape, 0))];
    return this.emit('LayerNormalization', name, inputs, input.shape, { axis: int(1), epsilon: float(1e-5) });
  }

  private reshape(shape: Shape, input: Flow, name: string): Flow {
    if (sizeOf(shape) !== sizeOf(input.shape))
      throw misfit(name, 'reshape', `${sizeOf(shape)} values a sample for ${show(shape)}`, input, 'change its numbers so that their product fits');
    return this.emit('Reshape', name, [input.name, this.put(`${name}.shape`, intTensor([shape.length + 1], [0, ...shape]))], shape);
  }

  private residual(layers: readonly Layer[], input: Flow, name: string): Flow {
    const branch = this.sequence(layers, input, `${name}.`);
    if (!sameShape(branch.shape, input.shape))
      throw new SmltError(
        'InvalidSpec',
        `${name}: residual: its layers turn ${show(['N', ...input.shape])} into ${show(['N', ...branch.shape])}; expected the same shape, so that the two add`,
      );
    return this.emit('Add', name, [input.name, branch.name], input.shape);
  }
}

const misfit = (name: string, layer: string, expected: string, { shape }: Flow, advice: string) =>
  new SmltError('InvalidSpec', `${name}: ${layer} expects ${expected}, got ${show(['N', ...shape])}; ${advice}`);

/** Zeros so that the output has ceil(input / stride) rows; the odd one at the end. */
function samePads(spatial: Shape, kernel: Shape, strides: Shape): number[] {
  const totals = spatial.map((size, i) => Math.max((Math.ceil(size / (strides[i] ?? 1)) - 1) * (strides[i] ?? 1) + (kernel[i] ?? 1) - size, 0));
  const begins = totals.map((total) => Math.floor(total / 2));
  return [...begins, ...totals.map((total, i) => total - (begins[i] ?? 0))];
}

/** Looks past norms, pools and dropout to the activation that a layer's weights feed. */
function followedByRectifier(layers: readonly Layer[], index: number): boolean {
  for (const next of layers.slice(index + 1)) {
    if (typeof next === 'string' && activations[next]) return activations[next].rectifier;
    if (typeof next === 'object' && ('dense' in next || 'conv2d' in next || 'residual' in next)) return false;
  }
  return false;
}
