import type { Optimizer } from '../contracts/optimizer';
import { power } from './schedules';

/*
 * Update rules with PyTorch's semantics (torch.optim SGD, Adam, AdamW; single-tensor form), elementwise and in place.
 * 1. Every operation is rounded to float32 by itself, and settings are float32 before the loop: a SIMD kernel that does
 *    the same operations in the same order gives the same bits. No fused multiply-add.
 * 2. Bias corrections are float64 scalars, made once a step from `step` alone; nothing about time lies in the slots.
 */

export interface Update {
  /** Elements of one range; changed in place, like `slots`. */
  readonly params: Float32Array;
  /** Mean gradient over the batch, already clipped. */
  readonly gradient: Float32Array;
  /** Slot after slot: slot 0 of all elements, then slot 1. Zeros before step 0. */
  readonly slots: Float32Array;
  /** From 0. */
  readonly step: number;
  readonly learningRate: number;
}

/** Floats of state that the rule keeps for each parameter. */
export function slotCount(optimizer: Optimizer): number {
  switch (optimizer.kind) {
    case 'sgd':
      return optimizer.momentum === 0 ? 0 : 1;
    case 'adam':
    case 'adamw':
      return 2;
  }
}

/** One step of the rule over a slice of the parameters. */
export function update(optimizer: Optimizer, args: Update): void {
  const { params, gradient, slots } = args;
  const slotLength = params.length * slotCount(optimizer);
  if (gradient.length !== params.length || slots.length !== slotLength)
    throw new Error(
      `${optimizer.kind} over ${params.length} parameters: expected ${params.length} gradients and ${slotLength} floats of state, got ${gradient.length} and ${slots.length}`,
    );
  const learningRate = Math.fround(args.learningRate);
  switch (optimizer.kind) {
    case 'sgd': {
      const decay = Math.fround(optimizer.weightDecay);
      if (optimizer.momentum === 0) sgd(params, gradient, learningRate, decay);
      else sgdMomentum(params, gradient, slots, learningRate, decay, Math.fround(optimizer.momentum), optimizer.nesterov);
      return;
    }
    case 'adam':
    case 'adamw': {
      const decoupled = optimizer.kind === 'adamw';
      adam(params, gradient, slots.subarray(0, params.length), slots.subarray(params.length), {
        beta2: Math.fround(optimizer.beta2),
        fresh1: Math.fround(1 - optimizer.beta1),
        fresh2: Math.fround(1 - optimizer.beta2),
        epsilon: Math.fround(optimizer.epsilon),
        decay: decoupled ? 0 : Math.fround(optimizer.weightDecay),
        keep: decoupled ? Math.fround(1 - args.learningRate * optimizer.weightDecay) : 1,
        minusStepSize: Math.fround(-args.learningRate / (1 - power(optimizer.beta1, args.step + 1))),
        correction2: Math.fround(Math.sqrt(1 - power(optimizer.beta2, args.step + 1))),
      });
      return;
    }
  }
}

const { fround, sqrt } = Math;

function sgd(params: Float32Array, gradient: Float32Array, learningRate: number, decay: number): void {
  for (let i = 0; i < params.length; i++) {
    const p = params[i]!;
    const d = fround(gradient[i]! + fround(decay * p));
    params[i] = fround(p - fround(learningRate * d));
  }
}

function sgdMomentum(
  params: Float32Array,
  gradient: Float32Array,
  velocity: Float32Array,
  learningRate: number,
  decay: number,
  momentum: number,
  nesterov: boolean,
): void {
  for (let i = 0; i < params.length; i++) {
    const p = params[i]!;
    const d = fround(gradient[i]! + fround(decay * p));
    const v = fround(fround(momentum * velocity[i]!) + d);
    velocity[i] = v;
    const direction = nesterov ? fround(d + fround(momentum * v)) : v;
    params[i] = fround(p - fround(learningRate * direction));
  }
}

interface AdamScalars {
  readonly beta2: number;
  readonly fresh1: number;
  readonly fresh2: number;
  readonly epsilon: number;
  readonly decay: number;
  readonly keep: number;
  readonly minusStepSize: number;
  readonly correction2: number;
}
function adam(params: Float32Array, gradient: Float32Array, first: Float32Array, second: Float32Array, scalars: AdamScalars): void {
  const { beta2, fresh1, fresh2, epsilon, decay, keep, minusStepSize, correction2 } = scalars;
  for (let i = 0; i < params.length; i++) {
    const p = fround(params[i]! * keep);
    const g = fround(gradient[i]! + fround(decay * p));
    const m = fround(first[i]! + fround(fresh1 * fround(g - first[i]!)));
    const v = fround(fround(beta2 * second[i]!) + fround(fround(fresh2 * g) * g));
    first[i] = m;
    second[i] = v;
    const denominator = fround(fround(fround(sqrt(v)) / correction2) + epsilon);
    params[i] = fround(p + fround(fround(minusStepSize * m) / denominator));
  }
}

/** Running statistics (batch normalisation): running = running * (1 - momentum) + observed * momentum, float32, in place. */
export function blendBuffers(running: Float32Array, observed: Float32Array, momentum: number): void {
  const fresh = fround(momentum);
  const kept = fround(1 - momentum);
  for (let i = 0; i < running.length; i++) running[i] = fround(fround(running[i]! * kept) + fround(observed[i]! * fresh));
}
