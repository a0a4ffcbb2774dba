import type { Optimizer, WeightAverage } from '../contracts/optimizer';
import { scalars as numbers } from './optimizers/arithmetic';
import { compile, type Kernel } from './optimizers/kernel';
import { averaging, ruleOf, type Rule } from './optimizers/rules';

/*
 * Update rules, elementwise and in place, so that any cut of the parameters gives the same bits. A rule is written once
 * (optimizers/rules.ts) and compiled to WebAssembly SIMD (optimizers/kernel.ts).
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
type Average = WeightAverage | undefined;

interface Compiled {
  readonly rule: Rule;
  kernel?: Kernel;
}
const known = new Map<string, Compiled>();
function compiledRule(optimizer: Optimizer, average: Average): Compiled {
  const key = JSON.stringify([optimizer, average]);
  let compiled = known.get(key);
  if (!compiled) {
    const rule = ruleOf(optimizer);
    known.set(key, (compiled = { rule: average ? averaging(rule, average.decay) : rule }));
  }
  return compiled;
}

/** Floats of state that the rule keeps for each parameter. The average of the weights, where there is one, is the last. */
export const slotCount = (optimizer: Optimizer, average?: Average): number => compiledRule(optimizer, average).rule.slots;

function check({ kind }: Optimizer, rule: Rule, { params, gradient, slots }: Update): void {
  const slotLength = params.length * rule.slots;
  if (gradient.length !== params.length || slots.length !== slotLength)
    throw new Error(
      `${kind} over ${params.length} parameters: expected ${params.length} gradients and ${slotLength} floats of state, got ${gradient.length} and ${slots.length}`,
    );
}

/** One step of the rule over a slice of the parameters. */
export function update(optimizer: Optimizer, args: Update, average?: Average): void {
  const compiled = compiledRule(optimizer, average);
  check(optimizer, compiled.rule, args);
  compiled.kernel ??= compile(compiled.rule);
  compiled.kernel.run(args.params, args.gradient, args.slots, Object.values(compiled.rule.scalars(args.step, args.learningRate)));
}

/** The same bits, one element at a time: what the compiled rule is tested against. */
export function updateByElements(optimizer: Optimizer, args: Update, average?: Average): void {
  const { rule } = compiledRule(optimizer, average);
  check(optimizer, rule, args);
  const { params, gradient, slots } = args;
  const { length } = params;
  const rounded = Object.entries(rule.scalars(args.step, args.learningRate)).map(([name, value]) => [name, Math.fround(value)] as const);
  const k = Object.fromEntries(rounded);
  for (let i = 0; i < length; i++) {
    const old = { p: params[i]!, g: gradient[i]!, slots: Array.from({ length: rule.slots }, (_, slot) => slots[slot * length + i]!) };
    const made = rule.element(numbers, old, k);
    params[i] = made.p;
    made.slots.forEach((value, slot) => (slots[slot * length + i] = value));
  }
}

const { fround } = Math;

/** Running statistics (batch normalisation): running = running * (1 - momentum) + observed * momentum, float32, in place. */
export function blendBuffers(running: Float32Array, observed: Float32Array, momentum: number): void {
  const fresh = fround(momentum);
  const kept = fround(1 - momentum);
  for (let i = 0; i < running.length; i++) running[i] = fround(fround(running[i]! * kept) + fround(observed[i]! * fresh));
}
