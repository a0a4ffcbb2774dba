import type { Program } from '../../contracts/program';
import type { ObjectStore } from '../../storage/object-store';
import { SCRATCH_FLOATS } from '../../training/compression';
import { HeapVectors, KernelMemory, type Vectors } from '../../training/kernels';
import type { Compute, LaneSession } from '../compute';
import { Lru } from '../lru';

interface LaneBuffers {
  readonly session: LaneSession;
  readonly features: Float32Array;
  readonly targets: Float32Array | Int32Array;
  readonly noise: Float32Array<ArrayBuffer>[];
}

/** Vectors under the full name of the value they hold: warm only for exactly that value. */
export class Held {
  #name: string | undefined;
  values: Float32Array = new Float32Array(0);
  constructor(private readonly vectors: Vectors) {}

  isNamed(name: string, length: number): boolean {
    return this.#name === name && this.values.length === length;
  }
  /** True when it holds that value already. Else the vector has the length asked for, and what is in it is nobody's. */
  holds(name: string, length: number): boolean {
    if (this.isNamed(name, length)) return true;
    this.#name = undefined;
    if (this.values.length !== length) {
      this.vectors.release(this.values);
      this.values = this.vectors.floats(length);
    }
    return false;
  }
  /** Before the first write. */
  forget(): void {
    this.#name = undefined;
  }
  /** After the last one. */
  nowHolds(name: string): void {
    this.#name = name;
  }
}

/** Lanes' sums, params, states, received partials: more than is ever held at once; what is not touched costs nothing. */
const VECTORS = 24;
const SMALL_BYTES = 2 ** 20;

/**
 * What an instance keeps warm for one program: sessions, reused buffers, and the newest params and states. One invocation
 * has it for itself from `takeWorkspace` to `returnWorkspace`; where an invocation failed, it is dropped.
 */
export class Workspace {
  /** Where the kernels can reach: everything that is added, received or updated. */
  readonly memory: KernelMemory;
  readonly params: Held;
  readonly slots: Held;
  readonly extra: Held;
  /** What lanes hold back, at two steps. */
  readonly laneStates = [new Held(new HeapVectors()), new Held(new HeapVectors())] as const;
  /** For a moment's work. */
  readonly scratch: Float32Array;
  readonly #lanes = new Map<number, LaneBuffers>();

  constructor(
    readonly key: string,
    private readonly compute: Compute,
    private readonly store: ObjectStore,
    readonly program: Program,
  ) {
    const vectorLength = program.paramCount + program.bufferCount + 1;
    this.memory = new KernelMemory(VECTORS * vectorLength * Float32Array.BYTES_PER_ELEMENT + SMALL_BYTES);
    this.params = new Held(this.memory);
    this.slots = new Held(this.memory);
    this.extra = new Held(this.memory);
    this.scratch = this.memory.floats(SCRATCH_FLOATS);
  }

  /** Session and buffers for lanes of this many samples. */
  async lane(samples: number): Promise<LaneBuffers> {
    const known = this.#lanes.get(samples);
    if (known) return known;
    const { program } = this;
    const featureLength = program.featureShape.reduce((product, size) => product * size, 1);
    const made: LaneBuffers = {
      session: await this.compute.openLane(this.store, program, samples),
      features: new Float32Array(samples * featureLength),
      targets: program.target.kind === 'class' ? new Int32Array(samples) : new Float32Array(samples * program.target.width),
      noise: program.noise.map(({ elementsPerSample }) => new Float32Array(samples * elementsPerSample)),
    };
    this.#lanes.set(samples, made);
    return made;
  }

  /** Takes the memory back that a turn has worked with; what it held stays warm. */
  releaseWork(): void {
    this.memory.releaseAllBut([this.scratch, this.params.values, this.slots.values, this.extra.values]);
  }

  /** Gives the sessions' native memory back. */
  async close(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    this.#lanes.clear();
    await Promise.all(lanes.map(({ session }) => session.close()));
  }
}

const idle = new Lru<Workspace>(
  2,
  () => 1,
  (workspace) => void workspace.close(),
);

export function takeWorkspace(compute: Compute, store: ObjectStore, program: Program): { workspace: Workspace; cold: boolean } {
  const key = `${store.uri} ${program.digest}`;
  const warm = idle.take(key);
  return warm ? { workspace: warm, cold: false } : { workspace: new Workspace(key, compute, store, program), cold: true };
}

export function returnWorkspace(workspace: Workspace): void {
  workspace.releaseWork();
  idle.set(workspace.key, workspace);
}
