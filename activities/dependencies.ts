import type { DataSetManifest } from '../contracts/data-set';
import type { PythonRuntime } from '../contracts/functions';
import type { PythonModel } from '../contracts/model';
import type { FunctionPlatform } from '../platforms/platform';
import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';

/** The world that activities act on: real in worker/, with a short time limit or a fault plan in tests. */
export interface EngineDependencies {
  readonly store: ObjectStore;
  /** At least one, and at most one of a kind: the scheduler chooses among them. */
  readonly exchanges: readonly Exchange[];
  /** What one Redis server is rented for while rounds run over it; 0 where it runs anyway. */
  readonly redisUsdPerHour: number;
  readonly platform: FunctionPlatform;
  /** Whether the namespace knows smlt's search attributes. */
  readonly searchAttributes: boolean;
  /** Reads a data set's manifest; the functions read its shards. */
  readonly readDataSet: (uri: string) => Promise<DataSetManifest>;
  /** The first samples of a data set, each as its flat features. */
  readonly readSamples: (uri: string, count: number) => Promise<number[][]>;
  /** The Python that a program's functions run on, made where it is not there yet. */
  readonly findPython: (model: PythonModel, tell: (line: string) => void) => Promise<PythonRuntime>;
  readonly nowMs: () => number;
}
