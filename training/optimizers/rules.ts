import type { Optimizer } from '../../contracts/optimizer';
import { power, powerOf } from '../elementary';
import type { Arithmetic } from './arithmetic';

/*
 * Update rules with PyTorch's semantics (torch.optim, single-tensor form), for one element.
 * 1. What depends on the step alone is a float64 scalar, made once a step and rounded to float32 once. Nothing about time
 *    lies in the slots: a step's result depends on its number, not on who did the one before.
 * 2. Slots begin as zeros. Where PyTorch's first step differs, a scalar of step 0 makes the difference.
 */
export interface Rule<K extends string = string> {
  /** Floats of state that the rule keeps for each parameter. */
  readonly slots: number;
  /** Scalars of a step (from 0), in a fixed order. */
  readonly scalars: (step: number, learningRate: number) => Readonly<Record<K, number>>;
  /** New parameter and slots from the old ones. */
  readonly element: <V>(f: Arithmetic<V>, old: Element<V>, k: Readonly<Record<K, V>>) => { p: V; slots: V[] };
}
export interface Element<V> {
  readonly p: V;
  readonly g: V;
  readonly slots: readonly V[];
}
const rule = <K extends string>(made: Rule<K>): Rule => made as unknown as Rule;

/** a + weight (b - a), as torch's lerp. */
const lerp = <V>(f: Arithmetic<V>, a: V, b: V, weight: V): V => f.add(a, f.mul(weight, f.sub(b, a)));
/** keep a + fresh x y, in addcmul's order. */
const addSquare = <V>(f: Arithmetic<V>, a: V, keep: V, x: V, fresh: V): V => f.add(f.mul(keep, a), f.mul(f.mul(fresh, x), x));

export function ruleOf(optimizer: Optimizer): Rule {
  switch (optimizer.kind) {
    case 'sgd':
      return sgd(optimizer);
    case 'adam':
    case 'adamw':
      return adam(optimizer);
    case 'adamax':
      return adamax(optimizer);
    case 'nadam':
      return nadam(optimizer);
    case 'radam':
      return radam(optimizer);
    case 'adagrad':
      return adagrad(optimizer);
    case 'adadelta':
      return adadelta(optimizer);
    case 'rmsprop':
      return rmsprop(optimizer);
    case 'lion':
      return lion(optimizer);
  }
}

type Settings<K extends Optimizer['kind']> = Extract<Optimizer, { kind: K }>;

/** The gradient with L2 decay in it; nothing is computed where there is none. */
const decayed = <V>(f: Arithmetic<V>, { p, g }: Element<V>, weightDecay: number, decay: V): V => (weightDecay === 0 ? g : f.add(g, f.mul(decay, p)));

/** Sutskever et al. 2013, in PyTorch's form: the rate is outside the velocity, whose first value is the gradient itself. */
function sgd({ momentum, dampening = 0, nesterov, weightDecay }: Settings<'sgd'>): Rule {
  return rule({
    slots: momentum === 0 ? 0 : 1,
    scalars: (step, rate) => ({ rate, decay: weightDecay, momentum, fresh: step === 0 ? 1 : 1 - dampening }),
    element(f, old, k) {
      const d = decayed(f, old, weightDecay, k.decay);
      if (momentum === 0) return { p: f.sub(old.p, f.mul(k.rate, d)), slots: [] };
      const v = f.add(f.mul(k.momentum, old.slots[0]!), dampening === 0 ? d : f.mul(k.fresh, d));
      const direction = nesterov ? f.add(d, f.mul(k.momentum, v)) : v;
      return { p: f.sub(old.p, f.mul(k.rate, direction)), slots: [v] };
    },
  });
}

/** Kingma and Ba 2015; decoupled decay: Loshchilov and Hutter 2019; AMSGrad: Reddi et al. 2018. */
function adam({ kind, beta1, beta2, epsilon, weightDecay, amsgrad = false }: Settings<'adam'> | Settings<'adamw'>): Rule {
  const decoupled = kind === 'adamw';
  return rule({
    slots: amsgrad ? 3 : 2,
    scalars: (step, rate) => ({
      beta2,
      fresh1: 1 - beta1,
      fresh2: 1 - beta2,
      epsilon,
      decay: weightDecay,
      keep: 1 - rate * weightDecay,
      minusStepSize: -rate / (1 - power(beta1, step + 1)),
      correction2: Math.sqrt(1 - power(beta2, step + 1)),
    }),
    element(f, old, k) {
      const p = decoupled && weightDecay > 0 ? f.mul(old.p, k.keep) : old.p;
      const g = decayed(f, old, decoupled ? 0 : weightDecay, k.decay);
      const m = lerp(f, old.slots[0]!, g, k.fresh1);
      const v = addSquare(f, old.slots[1]!, k.beta2, g, k.fresh2);
      const largest = amsgrad ? f.max(old.slots[2]!, v) : v;
      const denominator = f.add(f.div(f.sqrt(largest), k.correction2), k.epsilon);
      return { p: f.add(p, f.div(f.mul(k.minusStepSize, m), denominator)), slots: amsgrad ? [m, v, largest] : [m, v] };
    },
  });
}

/** Kingma and Ba 2015, section 7.1: the infinity norm in place of the second moment. */
function adamax({ beta1, beta2, epsilon, weightDecay }: Settings<'adamax'>): Rule {
  return rule({
    slots: 2,
    scalars: (step, rate) => ({ beta2, fresh1: 1 - beta1, epsilon, decay: weightDecay, minusStepSize: -rate / (1 - power(beta1, step + 1)) }),
    element(f, old, k) {
      const g = decayed(f, old, weightDecay, k.decay);
      const m = lerp(f, old.slots[0]!, g, k.fresh1);
      const largest = f.max(f.mul(k.beta2, old.slots[1]!), f.add(f.abs(g), k.epsilon));
      return { p: f.add(old.p, f.div(f.mul(k.minusStepSize, m), largest)), slots: [m, largest] };
    },
  });
}

/** Dozat 2016: Adam with Nesterov's momentum, whose weight warms up with 0.96^(step momentumDecay). */
function nadam({ beta1, beta2, epsilon, momentumDecay, weightDecay, decoupledWeightDecay }: Settings<'nadam'>): Rule {
  const base = powerOf(0.96, momentumDecay);
  const weightAt = (time: number) => beta1 * (1 - 0.5 * power(base, time));
  /** Of all weights up to a time; once nothing is left of it, nothing can change it. */
  const productTo = (time: number) => {
    let product = 1;
    for (let t = 1; t <= time && product > 1e-30; t++) product *= weightAt(t);
    return product;
  };
  return rule({
    slots: 2,
    scalars(step, rate) {
      const [now, next, product] = [weightAt(step + 1), weightAt(step + 2), productTo(step + 1)];
      return {
        beta2,
        fresh1: 1 - beta1,
        fresh2: 1 - beta2,
        epsilon,
        decay: weightDecay,
        keep: 1 - rate * weightDecay,
        correction2: 1 - power(beta2, step + 1),
        minusGradientRate: (-rate * (1 - now)) / (1 - product),
        minusMomentRate: (-rate * next) / (1 - product * next),
      };
    },
    element(f, old, k) {
      const shrunk = decoupledWeightDecay && weightDecay > 0 ? f.mul(old.p, k.keep) : old.p;
      const g = decayed(f, old, decoupledWeightDecay ? 0 : weightDecay, k.decay);
      const m = lerp(f, old.slots[0]!, g, k.fresh1);
      const v = addSquare(f, old.slots[1]!, k.beta2, g, k.fresh2);
      const denominator = f.add(f.sqrt(f.div(v, k.correction2)), k.epsilon);
      const moved = f.add(shrunk, f.div(f.mul(k.minusGradientRate, g), denominator));
      return { p: f.add(moved, f.div(f.mul(k.minusMomentRate, m), denominator)), slots: [m, v] };
    },
  });
}

/** Liu et al. 2020: until the variance of the second moment can be told, plain momentum; then Adam, rectified. */
function radam({ beta1, beta2, epsilon, weightDecay, decoupledWeightDecay }: Settings<'radam'>): Rule {
  const longest = 2 / (1 - beta2) - 1;
  return rule({
    slots: 2,
    scalars(step, rate) {
      const decayed2 = power(beta2, step + 1);
      const length = longest - (2 * (step + 1) * decayed2) / (1 - decayed2);
      const tractable = length > 5;
      const rectified = tractable
        ? Math.sqrt((((length - 4) * (length - 2)) / ((longest - 4) * (longest - 2))) * (longest / length)) * Math.sqrt(1 - decayed2)
        : 1;
      return {
        beta2,
        fresh1: 1 - beta1,
        fresh2: 1 - beta2,
        decay: weightDecay,
        keep: 1 - rate * weightDecay,
        correction1: 1 - power(beta1, step + 1),
        rate: rate * rectified,
        // The denominator is sqrt(v) + epsilon, or 1.
        spread: tractable ? 1 : 0,
        floor: tractable ? epsilon : 1,
      };
    },
    element(f, old, k) {
      const shrunk = decoupledWeightDecay && weightDecay > 0 ? f.mul(old.p, k.keep) : old.p;
      const g = decayed(f, old, decoupledWeightDecay ? 0 : weightDecay, k.decay);
      const m = lerp(f, old.slots[0]!, g, k.fresh1);
      const v = addSquare(f, old.slots[1]!, k.beta2, g, k.fresh2);
      const denominator = f.add(f.mul(k.spread, f.sqrt(v)), k.floor);
      return { p: f.sub(shrunk, f.div(f.mul(k.rate, f.div(m, k.correction1)), denominator)), slots: [m, v] };
    },
  });
}

/** Duchi et al. 2011. */
function adagrad({ learningRateDecay, initialAccumulator, epsilon, weightDecay }: Settings<'adagrad'>): Rule {
  return rule({
    slots: 1,
    scalars: (step, rate) => ({
      decay: weightDecay,
      epsilon,
      initial: step === 0 ? initialAccumulator : 0,
      minusRate: -rate / (1 + step * learningRateDecay),
    }),
    element(f, old, k) {
      const g = decayed(f, old, weightDecay, k.decay);
      const before = initialAccumulator === 0 ? old.slots[0]! : f.add(old.slots[0]!, k.initial);
      const sum = f.add(before, f.mul(g, g));
      return { p: f.add(old.p, f.div(f.mul(k.minusRate, g), f.add(f.sqrt(sum), k.epsilon))), slots: [sum] };
    },
  });
}

/** Zeiler 2012. */
function adadelta({ rho, epsilon, weightDecay }: Settings<'adadelta'>): Rule {
  return rule({
    slots: 2,
    scalars: (_step, rate) => ({ rate, rho, fresh: 1 - rho, epsilon, decay: weightDecay }),
    element(f, old, k) {
      const g = decayed(f, old, weightDecay, k.decay);
      const square = addSquare(f, old.slots[0]!, k.rho, g, k.fresh);
      const scale = f.div(f.sqrt(f.add(old.slots[1]!, k.epsilon)), f.sqrt(f.add(square, k.epsilon)));
      const delta = f.mul(scale, g);
      return { p: f.sub(old.p, f.mul(k.rate, delta)), slots: [square, addSquare(f, old.slots[1]!, k.rho, delta, k.fresh)] };
    },
  });
}

/** Hinton's lecture 6e; centered: Graves 2013. A variance that rounding made negative counts as 0, where PyTorch gives NaN. */
function rmsprop({ alpha, epsilon, centered, momentum, weightDecay }: Settings<'rmsprop'>): Rule {
  return rule({
    slots: 1 + (centered ? 1 : 0) + (momentum > 0 ? 1 : 0),
    scalars: (_step, rate) => ({ rate, minusRate: -rate, alpha, fresh: 1 - alpha, epsilon, momentum, decay: weightDecay, zero: 0 }),
    element(f, old, k) {
      const g = decayed(f, old, weightDecay, k.decay);
      const square = addSquare(f, old.slots[0]!, k.alpha, g, k.fresh);
      const slots = [square];
      let variance = square;
      if (centered) {
        const mean = lerp(f, old.slots[1]!, g, k.fresh);
        slots.push(mean);
        variance = f.max(f.sub(square, f.mul(mean, mean)), k.zero);
      }
      const denominator = f.add(f.sqrt(variance), k.epsilon);
      if (momentum === 0) return { p: f.add(old.p, f.div(f.mul(k.minusRate, g), denominator)), slots };
      const velocity = f.add(f.mul(k.momentum, old.slots[slots.length]!), f.div(g, denominator));
      return { p: f.sub(old.p, f.mul(k.rate, velocity)), slots: [...slots, velocity] };
    },
  });
}

/** Chen et al. 2023, algorithm 2: the sign of an interpolated momentum, and decoupled decay. */
function lion({ beta1, beta2, weightDecay }: Settings<'lion'>): Rule {
  return rule({
    slots: 1,
    scalars: (_step, rate) => ({ rate, fresh1: 1 - beta1, fresh2: 1 - beta2, keep: 1 - rate * weightDecay }),
    element(f, { p, g, slots: [m] }, k) {
      const shrunk = weightDecay === 0 ? p : f.mul(p, k.keep);
      const direction = f.sign(lerp(f, m!, g, k.fresh1));
      return { p: f.sub(shrunk, f.mul(k.rate, direction)), slots: [lerp(f, m!, g, k.fresh2)] };
    },
  });
}

/** The rule, and behind its slots an exponential moving average of the parameters it gives (torch.optim.swa_utils). */
export function averaging(inner: Rule, decay: number): Rule {
  return {
    slots: inner.slots + 1,
    scalars: (step, rate) => ({ ...inner.scalars(step, rate), averageFresh: step === 0 ? 1 : 1 - decay }),
    element(f, old, k) {
      const { p, slots } = inner.element(f, { ...old, slots: old.slots.slice(0, inner.slots) }, k);
      return { p, slots: [...slots, lerp(f, old.slots[inner.slots]!, p, k.averageFresh!)] };
    },
  };
}
