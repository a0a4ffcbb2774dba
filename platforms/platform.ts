import type { FunctionRole, PythonRuntime } from '../contracts/functions';

export interface FunctionSpec {
  readonly role: FunctionRole;
  readonly memoryMib: number;
  readonly timeoutMs: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** Left out: the function is Node's. */
  readonly python?: PythonRuntime;
  /** Deployed models have a name of their own; the rest are named by role, code digest and memory. */
  readonly name?: string;
}
export interface FunctionReference {
  readonly name: string;
  readonly qualifier?: string;
  readonly memoryMib: number;
}

/** What one invocation cost in time and space, as the platform reported it. */
export interface Usage {
  readonly billedMs: number;
  readonly memoryMib: number;
  readonly maxMemoryMib: number;
  readonly initMs: number;
  readonly cold: boolean;
  /** True where the report was lost and the numbers are upper bounds. */
  readonly estimated: boolean;
}

/** How an invocation that ran ended. What never ran (throttled, 5xx, refused) is thrown as `PlatformUnavailable` and is not billed. */
export type Invocation =
  | { readonly kind: 'returned'; readonly output: unknown; readonly usage: Usage; readonly logTail: string }
  | { readonly kind: 'failed'; readonly errorType: string; readonly message: string; readonly usage: Usage; readonly logTail: string }
  | { readonly kind: 'crashed' | 'outOfMemory' | 'timedOut'; readonly message: string; readonly usage: Usage; readonly logTail: string };

export interface PlatformLimits {
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly minMemoryMib: number;
  readonly maxMemoryMib: number;
  /** Cores that really exist; Infinity in a cloud. */
  readonly totalCores: number;
}
/** USD; list prices with the date they were read. */
export interface PriceList {
  readonly region: string;
  readonly readOn: string;
  readonly usdPerGbSecond: number;
  readonly usdPerRequest: number;
  readonly usdPerPut: number;
  readonly usdPerGet: number;
}

/** Where functions run. AWS Lambda is the reference; the embedded server speaks the same API. */
export interface FunctionPlatform {
  readonly limits: PlatformLimits;
  readonly prices: PriceList;
  /** Whether all instances compute on one CPU model; where they do not, kernels may differ in their last bits. */
  readonly uniformCpus: boolean;
  /** vCPUs that a function of this memory gets: memory / 1,769 MiB, at most 6. */
  vcpus(memoryMib: number): number;
  /** SHA-256 of the code package that `ensure` deploys, for Node or for Python: part of every recipe. */
  codeDigest(python?: PythonRuntime): Promise<string>;
  /** Creates or finds the function. Idempotent, safe to race. */
  ensure(spec: FunctionSpec): Promise<FunctionReference>;
  /** @throws {SmltError} `PlatformUnavailable` (not run, try again) or `PlatformRefused` (never will). */
  invoke(reference: FunctionReference, payload: unknown, signal?: AbortSignal): Promise<Invocation>;
  /** Points a named function's live alias at newly published code or environment, weighted: canary deployment. */
  publish(spec: FunctionSpec): Promise<{ reference: FunctionReference; version: string }>;
  shift(name: string, version: string, weight: number): Promise<void>;
  /** The version that the live alias points at with weight 1, if the function exists. */
  live(name: string): Promise<string | undefined>;
}
