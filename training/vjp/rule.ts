import { SmltError } from '../../contracts/errors';
import type { GraphWriter } from '../graph-writer';
import type { ElementType, Node } from '../onnx/graph';
import { elementTypeNumbers, numbersOf } from '../onnx/graph';
import type { TypeAndShape, Value } from '../shapes';

/** One node while its graph is typed and differentiated: its values, and its attributes read with ONNX's defaults. */
export class At {
  constructor(
    public node: Node,
    readonly inputs: readonly (Value | undefined)[],
    readonly outputs: Value[],
    /** Makes the node write one more of its optional outputs. */
    private readonly extend: (at: At, index: number) => Value,
  ) {}

  /** The forward result. */
  get Y(): Value {
    return this.outputs[0] as Value;
  }
  /** An output that the forward graph may not have asked for. */
  output(index: number): Value {
    return this.outputs[index] ?? this.extend(this, index);
  }
  has(name: string): boolean {
    return this.node.attributes[name] !== undefined;
  }
  int(name: string, fallback: number): number {
    const attribute = this.node.attributes[name];
    return attribute?.kind === 'int' ? attribute.value : fallback;
  }
  float(name: string, fallback: number): number {
    const attribute = this.node.attributes[name];
    return attribute?.kind === 'float' ? Math.fround(attribute.value) : fallback;
  }
  text(name: string, fallback: string): string {
    const attribute = this.node.attributes[name];
    return attribute?.kind === 'string' ? attribute.value : fallback;
  }
  ints(name: string): readonly number[] | undefined {
    const attribute = this.node.attributes[name];
    return attribute?.kind === 'ints' ? attribute.value : undefined;
  }
  floats(name: string): readonly number[] {
    const attribute = this.node.attributes[name];
    return attribute?.kind === 'floats' ? attribute.value.map(Math.fround) : [];
  }
  strings(name: string): readonly string[] | undefined {
    const attribute = this.node.attributes[name];
    return attribute?.kind === 'strings' ? attribute.value : undefined;
  }
  /** The elements of an input that must be known when the program is prepared. */
  known(value: Value, what: string): number[] {
    if (!value.constant) throw this.refuse(`its ${what} is computed from the samples`, `a constant ${what}`);
    return numbersOf(value.constant);
  }
  refuse(what: string, nearest: string): SmltError {
    return new SmltError('UnsupportedOperator', `operator ${this.node.op} of ${nodeOf(this.node)}: ${what}; nearest supported form: ${nearest}`);
  }
}

/** Where a node is: its name, and the line of code that made it, where the exporter kept that. */
export const nodeOf = ({ name, source }: Node): string => `node '${name}'${source === undefined ? '' : ` (${source})`}`;

/** The element type that an attribute names by ONNX's number. */
export function elementType(number: number, at: At): ElementType {
  const types = Object.keys(elementTypeNumbers) as ElementType[];
  const type = types.find((name) => elementTypeNumbers[name] === number);
  if (!type) throw at.refuse(`element type number ${number}`, `an element type of ${types.join(', ')}`);
  return type;
}

/** Builds one gradient, when somebody needs it. */
export type Thunk = () => Value;

/** What smlt knows of one operator. */
export interface Rule {
  /** Types and shapes of the outputs. */
  infer(at: At): readonly TypeAndShape[];
  /** One thunk an input that has a gradient. `zero`: no gradient flows, on purpose. */
  readonly gradients: 'zero' | ((at: At, dYs: readonly (Value | undefined)[], g: GraphWriter) => readonly (Thunk | undefined)[]);
  /** Floating-point operations of one forward pass, for the operators that dominate. */
  flops?(at: At): number;
  /** Writes the forward pass in a faster form than the node itself, where there is one. */
  faster?(at: At, g: GraphWriter): Value | undefined;
}

/** Inputs by their ONNX names; one that ends in `?` may be left out. */
type Named<N extends string> = { readonly [K in N as K extends `${string}?` ? never : K]: Value } & {
  readonly [K in N as K extends `${infer R}?` ? R : never]?: Value | undefined;
};
type Bare<N extends string> = N extends `${infer R}?` ? R : N;
type Inferred = readonly number[] | TypeAndShape | readonly TypeAndShape[];

interface RowOf<N extends string> {
  /** A bare shape has the type of the first input. */
  shape(inputs: Named<N>, at: At): Inferred;
  gradient: 'zero' | ((inputs: Named<N>, dY: Value, g: GraphWriter, at: At) => { readonly [K in Bare<N>]?: Thunk | undefined });
  flops?(inputs: Named<N>, at: At): number;
  faster?(inputs: Named<N>, g: GraphWriter, at: At): Value | undefined;
}

const isShape = (inferred: Inferred): inferred is readonly number[] => Array.isArray(inferred) && typeof inferred[0] !== 'object';
const typed = (inferred: Inferred, at: At): readonly TypeAndShape[] =>
  isShape(inferred)
    ? [{ shape: inferred, type: at.inputs[0]?.type ?? 'float32' }]
    : Array.isArray(inferred)
      ? (inferred as readonly TypeAndShape[])
      : [inferred as TypeAndShape];

function onlyFirst(at: At, dYs: readonly (Value | undefined)[]): Value {
  const [dY, ...others] = dYs;
  const other = others.findIndex((each) => each !== undefined);
  if (!dY || other !== -1) throw at.refuse(`the loss depends on its output ${other + 2}`, 'a loss that depends on its first output alone');
  return dY;
}

/** A node's inputs under their ONNX names. @throws {SmltError} `InvalidModel` when one is missing that has no `?`. */
export function inputsOf<const N extends string>(at: At, names: readonly N[]): Named<N> {
  const named = names.map((name, i) => {
    if (!name.endsWith('?') && !at.inputs[i])
      throw new SmltError('InvalidModel', `operator ${at.node.op} of ${nodeOf(at.node)} lacks its input ${name}`);
    return [name.replace('?', ''), at.inputs[i]] as const;
  });
  return Object.fromEntries(named) as Named<N>;
}

/** An operator with named inputs whose first output alone carries a gradient. */
export function row<const N extends string>(names: readonly N[], { shape, gradient, flops, faster }: RowOf<N>): Rule {
  const bare = names.map((name) => name.replace('?', '') as Bare<N>);
  return {
    infer: (at) => typed(shape(inputsOf(at, names), at), at),
    gradients:
      gradient === 'zero'
        ? 'zero'
        : (at, dYs, g) => {
            const thunks = gradient(inputsOf(at, names), onlyFirst(at, dYs), g, at);
            return bare.map((name) => thunks[name]);
          },
    ...(flops && { flops: (at: At) => flops(inputsOf(at, names), at) }),
    ...(faster && { faster: (at: At, g: GraphWriter) => faster(inputsOf(at, names), g, at) }),
  };
}

/** An operator with any number of inputs of one kind. */
export function listRow({
  shape,
  gradient,
}: {
  shape(inputs: readonly Value[], at: At): Inferred;
  gradient: 'zero' | ((inputs: readonly Value[], dY: Value, g: GraphWriter, at: At) => readonly (Thunk | undefined)[]);
}): Rule {
  const all = (at: At) => at.inputs.filter((input) => input !== undefined);
  return {
    infer: (at) => typed(shape(all(at), at), at),
    gradients: gradient === 'zero' ? 'zero' : (at, dYs, g) => gradient(all(at), onlyFirst(at, dYs), g, at),
  };
}
