/**
 * The same training in one loop, in float64, written from the mathematics and without any code of training/ but lanes and
 * layout: dense 64 (no bias: normalisation would take it out again), batch normalisation, ReLU, dense 24, tanh, dense 4; softmax cross-entropy; Adam with clipping.
 */
export interface Tensor {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}
export interface ReferenceState {
  params: Float64Array;
  buffers: Float64Array;
  losses: number[];
}
type Matrix = number[][];

const times = (X: Matrix, W: Float64Array, bias: Float64Array): Matrix => {
  const inputs = X[0]!.length;
  return X.map((row) => Array.from(bias, (b, o) => row.reduce((sum, x, i) => sum + x * W[o * inputs + i]!, b)));
};
/** Adds dW and db of Y = X W' + b, and answers dX. */
const timesBack = (X: Matrix, W: Float64Array, dY: Matrix, dW: Float64Array, db: Float64Array): Matrix => {
  const inputs = X[0]!.length;
  return X.map((row, n) => {
    const dX = new Array<number>(inputs).fill(0);
    dY[n]!.forEach((d, o) => {
      db[o]! += d;
      row.forEach((x, i) => {
        dW[o * inputs + i]! += d * x;
        dX[i]! += d * W[o * inputs + i]!;
      });
    });
    return dX;
  });
};
const column = (X: Matrix, j: number) => X.map((row) => row[j]!);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

export class Reference {
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  constructor(
    readonly state: ReferenceState,
    private readonly tensors: readonly Tensor[],
    private readonly settings: { learningRate: number; beta1: number; beta2: number; epsilon: number; clipNorm: number },
  ) {
    this.#first = new Float64Array(state.params.length);
    this.#second = new Float64Array(state.params.length);
  }

  #view(flat: Float64Array, name: string): Float64Array {
    const { offset, length } = this.tensors.find((tensor) => tensor.name === name)!;
    return flat.subarray(offset, offset + length);
  }

  /** One step over a batch that is given as its lanes' micro-batches. */
  step(step: number, lanes: readonly { features: Matrix; labels: number[] }[]): void {
    const { state, settings } = this;
    const gradient = new Float64Array(state.params.length);
    const [means, variances] = [new Float64Array(64), new Float64Array(64)];
    const samples = lanes.reduce((sum, { labels }) => sum + labels.length, 0);
    let loss = 0;
    for (const { features, labels } of lanes) loss += this.#lane(features, labels, gradient, means, variances);
    state.losses.push(loss / samples);
    for (let i = 0; i < gradient.length; i++) gradient[i]! /= samples;
    for (let j = 0; j < 64; j++) {
      state.buffers[j] = 0.9 * state.buffers[j]! + (0.1 * means[j]!) / samples;
      state.buffers[64 + j] = 0.9 * state.buffers[64 + j]! + (0.1 * variances[j]!) / samples;
    }
    const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
    const factor = Math.min(1, settings.clipNorm / (norm + 1e-6));
    const { beta1, beta2, epsilon, learningRate } = settings;
    for (let i = 0; i < gradient.length; i++) {
      const g = gradient[i]! * factor;
      this.#first[i] = beta1 * this.#first[i]! + (1 - beta1) * g;
      this.#second[i] = beta2 * this.#second[i]! + (1 - beta2) * g * g;
      const m = this.#first[i]! / (1 - beta1 ** (step + 1));
      const v = this.#second[i]! / (1 - beta2 ** (step + 1));
      state.params[i]! -= (learningRate * m) / (Math.sqrt(v) + epsilon);
    }
  }

  /** Adds one lane's gradient and statistics times samples; answers its loss sum. */
  #lane(X: Matrix, labels: number[], gradient: Float64Array, means: Float64Array, variances: Float64Array): number {
    const p = (name: string) => this.#view(this.state.params, name);
    const d = (name: string) => this.#view(gradient, name);
    const n = labels.length;
    const H = times(X, p('layer0.weight'), new Float64Array(64));
    const [gamma, beta] = [p('layer1.weight'), p('layer1.bias')];
    const centre = Array.from(gamma, (_, j) => mean(column(H, j)));
    const variance = centre.map((c, j) => mean(column(H, j).map((h) => (h - c) ** 2)));
    centre.forEach((c, j) => (means[j]! += c * n));
    variance.forEach((v, j) => (variances[j]! += ((v * n) / (n - 1)) * n));
    const scale = variance.map((v) => 1 / Math.sqrt(v + 1e-5));
    const hat = H.map((row) => row.map((h, j) => (h - centre[j]!) * scale[j]!));
    const Y = hat.map((row) => row.map((h, j) => gamma[j]! * h + beta[j]!));
    const R = Y.map((row) => row.map((y) => Math.max(0, y)));
    const T = times(R, p('layer3.weight'), p('layer3.bias')).map((row) => row.map(Math.tanh));
    const O = times(T, p('layer5.weight'), p('layer5.bias'));

    let loss = 0;
    const dO = O.map((row, s) => {
      const top = Math.max(...row);
      const sum = row.reduce((total, o) => total + Math.exp(o - top), 0);
      loss += Math.log(sum) + top - row[labels[s]!]!;
      return row.map((o, k) => Math.exp(o - top) / sum - (k === labels[s] ? 1 : 0));
    });
    const dT = timesBack(T, p('layer5.weight'), dO, d('layer5.weight'), d('layer5.bias'));
    const dS = dT.map((row, s) => row.map((g, k) => g * (1 - T[s]![k]! ** 2)));
    const dR = timesBack(R, p('layer3.weight'), dS, d('layer3.weight'), d('layer3.bias'));
    const dY = dR.map((row, s) => row.map((g, j) => (Y[s]![j]! > 0 ? g : 0)));
    const dH = dY.map((row) => [...row]);
    for (let j = 0; j < gamma.length; j++) {
      const [g, h] = [column(dY, j), column(hat, j)];
      const [sumG, sumGh] = [g.reduce((a, b) => a + b, 0), g.reduce((sum, value, s) => sum + value * h[s]!, 0)];
      d('layer1.weight')[j]! += sumGh;
      d('layer1.bias')[j]! += sumG;
      for (let s = 0; s < n; s++) dH[s]![j] = gamma[j]! * scale[j]! * (g[s]! - sumG / n - (h[s]! * sumGh) / n);
    }
    timesBack(X, p('layer0.weight'), dH, d('layer0.weight'), new Float64Array(64));
    return loss;
  }
}
