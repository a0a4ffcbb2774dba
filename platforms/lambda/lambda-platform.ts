import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  GetAliasCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  PublishVersionCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
  type AliasConfiguration,
  type FunctionConfiguration,
  type InvokeCommandOutput,
  type LambdaClient,
  type Runtime,
} from '@aws-sdk/client-lambda';
import { SmltError } from '../../contracts/errors';
import type { PythonRuntime } from '../../contracts/functions';
import type { FunctionPlatform, FunctionReference, FunctionSpec, Invocation, PlatformLimits, PriceList, Usage } from '../platform';
import { classifyFailure } from './classify';
import { errorName, refusedOrUnavailable, wasLost } from './failures';
import { lambdaVcpus } from './prices';
import { parseReport } from './report-line';

/** A code package. */
export interface FunctionCode {
  readonly zipPath: string;
  /** SHA-256 of the zip, in hex. */
  readonly sha256: string;
}

export interface LambdaPlatformOptions {
  readonly client: LambdaClient;
  readonly limits: PlatformLimits;
  readonly prices: PriceList;
  /** The role that functions run under. */
  readonly roleArn: string;
  readonly zipPath: string;
  /** SHA-256 of the zip, in hex. */
  readonly codeSha256: string;
  /** Left out: programs in Python can't be run. */
  readonly pythonCode?: FunctionCode;
  /** Environment variables of every function, such as credentials: no function's name, no digest and no payload holds them. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly architecture: 'x86_64' | 'arm64';
  readonly uniformCpus: boolean;
  /** A bucket that holds the zip as `<sha256>.zip`, where there is one: then its bytes need not be sent with each function. */
  readonly codeBucket?: string;
}

const LIVE = 'live';
const NODE_RUNTIME: Runtime = 'nodejs22.x';
const DIGEST_IN_NAME = 12;
const WAIT_S = 120;
const MAX_TIMEOUT_MS = 900_000;

/** AWS Lambda, or anything that speaks its API. One attempt a call: whoever calls decides what to repeat, and pays. */
export class LambdaPlatform implements FunctionPlatform {
  readonly limits: PlatformLimits;
  readonly prices: PriceList;
  readonly uniformCpus: boolean;
  private readonly ensured = new Map<string, Promise<FunctionReference>>();
  /** Time limits by function, for the bill of an invocation whose answer was lost. */
  private readonly timeouts = new Map<string, number>();

  constructor(private readonly options: LambdaPlatformOptions) {
    this.limits = options.limits;
    this.prices = options.prices;
    this.uniformCpus = options.uniformCpus;
  }

  vcpus(memoryMib: number): number {
    return lambdaVcpus(memoryMib);
  }

  async codeDigest(python?: PythonRuntime): Promise<string> {
    return this.codeOf({ python }).sha256;
  }

  private codeOf({ python }: { readonly python?: PythonRuntime | undefined }): FunctionCode {
    const { zipPath, codeSha256, pythonCode } = this.options;
    if (!python) return { zipPath, sha256: codeSha256 };
    if (!pythonCode) throw new SmltError('PlatformRefused', 'no code package for Python was made; run npm run build');
    return pythonCode;
  }

  ensure(spec: FunctionSpec): Promise<FunctionReference> {
    const name = functionNameOf(spec, this.codeOf(spec).sha256);
    const key = `${name} ${settingsDigest(spec)}`;
    let known = this.ensured.get(key);
    if (!known) {
      known = this.createOrUpdate(name, spec).then(() => ({ name, memoryMib: spec.memoryMib }));
      this.ensured.set(key, known);
      const forget = () => this.ensured.delete(key);
      // A failure is not remembered; neither is a function with a name of its own, which somebody may change behind our back.
      known.then(() => spec.name !== undefined && forget(), forget);
    }
    return known;
  }

  async invoke({ name, qualifier, memoryMib }: FunctionReference, payload: unknown, signal?: AbortSignal): Promise<Invocation> {
    const sentAt = performance.now();
    let answer: InvokeCommandOutput;
    try {
      answer = await this.options.client.send(
        new InvokeCommand({
          FunctionName: name,
          ...(qualifier === undefined ? {} : { Qualifier: qualifier }),
          LogType: 'Tail',
          Payload: Buffer.from(JSON.stringify(payload)),
        }),
        signal ? { abortSignal: signal } : {},
      );
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (wasLost(error, performance.now() - sentAt)) return this.lost(name, memoryMib, error as Error);
      if (errorName(error) === 'ResourceNotFoundException') this.forget(name);
      throw refusedOrUnavailable(`invoking ${name}`, error);
    }
    const text = Buffer.from(answer.Payload ?? []).toString('utf8');
    const logTail = Buffer.from(answer.LogResult ?? '', 'base64').toString('utf8');
    const usage = this.usageOf(name, memoryMib, logTail);
    if (answer.FunctionError !== undefined) return classifyFailure(text, usage, logTail);
    try {
      return { kind: 'returned', output: text === '' ? null : JSON.parse(text), usage, logTail };
    } catch {
      return { kind: 'failed', errorType: 'InvalidAnswer', message: `${name} answered what is not JSON: ${text.slice(0, 200)}`, usage, logTail };
    }
  }

  async publish(spec: FunctionSpec): Promise<{ reference: FunctionReference; version: string }> {
    const { name, memoryMib } = await this.ensure(spec);
    try {
      const { Version: version } = await this.options.client.send(new PublishVersionCommand({ FunctionName: name }));
      if (version === undefined) throw new SmltError('PlatformRefused', `publishing ${name}: the answer names no version`);
      await waitUntilFunctionActiveV2({ client: this.options.client, maxWaitTime: WAIT_S }, { FunctionName: name, Qualifier: version });
      return { reference: { name, qualifier: version, memoryMib }, version };
    } catch (error) {
      throw refusedOrUnavailable(`publishing ${name}`, error);
    }
  }

  async shift(name: string, version: string, weight: number): Promise<void> {
    const { client } = this.options;
    try {
      const alias = await this.aliasOf(name);
      if (!alias) {
        // Nothing is live yet, so there is nothing to share the calls with.
        await client.send(new CreateAliasCommand({ FunctionName: name, Name: LIVE, FunctionVersion: version }));
        return;
      }
      const weights = weight >= 1 || weight <= 0 || alias.FunctionVersion === version ? {} : { [version]: weight };
      await client.send(
        new UpdateAliasCommand({
          FunctionName: name,
          Name: LIVE,
          ...(weight >= 1 ? { FunctionVersion: version } : {}),
          RoutingConfig: { AdditionalVersionWeights: weights },
          ...(alias.RevisionId === undefined ? {} : { RevisionId: alias.RevisionId }),
        }),
      );
    } catch (error) {
      throw refusedOrUnavailable(`shifting ${name} to version ${version}`, error);
    }
  }

  async live(name: string): Promise<string | undefined> {
    try {
      return (await this.aliasOf(name))?.FunctionVersion;
    } catch (error) {
      throw refusedOrUnavailable(`reading the live version of ${name}`, error);
    }
  }

  private async aliasOf(name: string): Promise<AliasConfiguration | undefined> {
    try {
      return await this.options.client.send(new GetAliasCommand({ FunctionName: name, Name: LIVE }));
    } catch (error) {
      if (errorName(error) === 'ResourceNotFoundException') return undefined;
      throw error;
    }
  }

  private async createOrUpdate(name: string, spec: FunctionSpec): Promise<void> {
    const { client } = this.options;
    this.timeouts.set(name, spec.timeoutMs);
    try {
      const found = await this.find(name);
      if (!found) await this.create(name, spec);
      else await this.update(name, spec, found);
      await waitUntilFunctionActiveV2({ client, maxWaitTime: WAIT_S }, { FunctionName: name });
    } catch (error) {
      throw refusedOrUnavailable(`preparing function ${name}`, error);
    }
  }

  private async find(name: string): Promise<FunctionConfiguration | undefined> {
    try {
      return await this.options.client.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
    } catch (error) {
      if (errorName(error) === 'ResourceNotFoundException') return undefined;
      throw error;
    }
  }

  private async create(name: string, spec: FunctionSpec): Promise<void> {
    const { client, roleArn, architecture } = this.options;
    try {
      await this.withCode(spec, (code) =>
        client.send(
          new CreateFunctionCommand({
            FunctionName: name,
            Runtime: runtimeOf(spec),
            Role: roleArn,
            Architectures: [architecture],
            Code: code,
            ...this.settingsWithSecrets(spec),
          }),
        ),
      );
    } catch (error) {
      if (errorName(error) !== 'ResourceConflictException') throw error; // somebody else created the same function: just as good
    }
  }

  private settingsWithSecrets(spec: FunctionSpec): ReturnType<typeof settingsOf> {
    const { Environment, ...settings } = settingsOf(spec);
    return { ...settings, Environment: { Variables: { ...this.options.secrets, ...Environment.Variables } } };
  }

  /** Of functions without a name of their own only secrets ever change: they carry all else that they are made from in their names. */
  private async update(name: string, spec: FunctionSpec, found: FunctionConfiguration): Promise<void> {
    const { client } = this.options;
    const { sha256 } = this.codeOf(spec);
    const updated = () => waitUntilFunctionUpdatedV2({ client, maxWaitTime: WAIT_S }, { FunctionName: name });
    if (found.CodeSha256 !== Buffer.from(sha256, 'hex').toString('base64')) {
      await this.withCode(spec, (code) => client.send(new UpdateFunctionCodeCommand({ FunctionName: name, ...code })));
      await updated();
    }
    const wanted = { ...this.settingsWithSecrets(spec), Runtime: runtimeOf(spec) };
    const same =
      found.MemorySize === wanted.MemorySize &&
      found.Timeout === wanted.Timeout &&
      found.Handler === wanted.Handler &&
      found.Runtime === wanted.Runtime &&
      sortedJson(found.Environment?.Variables ?? {}) === sortedJson(wanted.Environment.Variables);
    if (same) return;
    await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: name, ...wanted }));
    await updated();
  }

  /** Names the code where it lies already; sends its bytes where it does not. */
  private async withCode(
    spec: FunctionSpec,
    use: (code: { S3Bucket: string; S3Key: string } | { ZipFile: Uint8Array }) => Promise<unknown>,
  ): Promise<void> {
    const { codeBucket } = this.options;
    const { sha256, zipPath } = this.codeOf(spec);
    if (codeBucket !== undefined) {
      try {
        await use({ S3Bucket: codeBucket, S3Key: `${sha256}.zip` });
        return;
      } catch (error) {
        if (!/NoSuchKey/.test((error as Error).message)) throw error;
      }
    }
    await use({ ZipFile: await readFile(zipPath) });
  }

  private usageOf(name: string, memoryMib: number, logTail: string): Usage {
    const report = parseReport(logTail);
    if (!report) return this.upperBound(name, memoryMib);
    return { ...report, cold: report.initMs > 0, estimated: false };
  }

  /** Lambda never bills more than the time limit and the initialisation's. */
  private upperBound(name: string, memoryMib: number): Usage {
    const billedMs = this.timeouts.get(name) ?? MAX_TIMEOUT_MS;
    return { billedMs, memoryMib, maxMemoryMib: 0, initMs: 0, cold: false, estimated: true };
  }

  private lost(name: string, memoryMib: number, error: Error): Invocation {
    return {
      kind: 'crashed',
      message: `the connection broke before ${name} answered (${error.message}); it may have run on, and is charged up to its time limit`,
      usage: this.upperBound(name, memoryMib),
      logTail: '',
    };
  }

  /** The function is gone though we made it: the next `ensure` makes it again. */
  private forget(name: string): void {
    for (const key of this.ensured.keys()) if (key.startsWith(`${name} `)) this.ensured.delete(key);
  }
}

function settingsOf(spec: FunctionSpec) {
  return {
    Handler: spec.python ? `smlt.functions.${spec.role}` : `index.${spec.role}`,
    MemorySize: spec.memoryMib,
    Timeout: Math.min(MAX_TIMEOUT_MS, Math.max(1_000, Math.ceil(spec.timeoutMs / 1_000) * 1_000)) / 1_000,
    Environment: { Variables: { ...(spec.python && { SMLT_PYTHON: spec.python.interpreter, ...PYTHON_ENVIRONMENT }), ...spec.environment } },
  };
}

/** Read when Python starts, so that it can't be set later: the order of a set of strings must not differ between processes. */
const PYTHON_ENVIRONMENT = { PYTHONHASHSEED: '0' };

const runtimeOf = ({ python }: FunctionSpec): Runtime => (python ? (`python${python.version}` as Runtime) : NODE_RUNTIME);

const sortedJson = (variables: Readonly<Record<string, string>>): string => JSON.stringify(Object.entries(variables).sort());

function settingsDigest(spec: FunctionSpec): string {
  const { Handler, Timeout, MemorySize, Environment } = settingsOf(spec);
  return createHash('sha256')
    .update(JSON.stringify([Handler, Timeout, MemorySize, sortedJson(Environment.Variables)]))
    .digest('hex')
    .slice(0, 8);
}

/** `smlt-<role>-<code digest>-<memory>`, and a digest of the other settings where they are not the usual ones: one name, one function. */
function functionNameOf(spec: FunctionSpec, codeSha256: string): string {
  if (spec.name !== undefined) return spec.name;
  const base = `smlt-${spec.python ? 'python-' : ''}${spec.role}-${codeSha256.slice(0, DIGEST_IN_NAME)}-${spec.memoryMib}`;
  const usual = spec.timeoutMs === MAX_TIMEOUT_MS && Object.keys(settingsOf(spec).Environment.Variables).length === 0;
  return usual ? base : `${base}-${settingsDigest(spec)}`;
}
