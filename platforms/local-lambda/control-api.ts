import { ApiError, invalidParameter, tooLarge } from './api-error';
import { MAX_CODE_REQUEST_BYTES, MAX_UNPACKED_BYTES, type CodeStore, type StoredCode } from './code-store';
import { functionArn, parseFunctionName } from './function-name';
import type { Invoker } from './invoker';
import type { FunctionAlias, FunctionSettings, FunctionVersion, Registry, StoredFunction } from './registry';
import * as requests from './requests';

/** Below the default account limit AWS wants 100 left unreserved; a smaller embedded limit may be reserved whole. */
const AWS_DEFAULT_CONCURRENCY = 1_000;
const AWS_UNRESERVED_MINIMUM = 100;

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer | 'tooLarge';
  /** Where this server is reached: code is downloaded from it. */
  readonly endpoint: string;
}
export interface ApiAnswer {
  readonly status: number;
  readonly body?: unknown;
}
export interface ControlDeps {
  readonly registry: Registry;
  readonly code: CodeStore;
  readonly invoker: Invoker;
  readonly concurrency: number;
}
type Route = (request: ApiRequest, ...parts: string[]) => ApiAnswer | Promise<ApiAnswer>;

/** Everything of the Lambda API but Invoke: one row an operation, the path as AWS documents it, `:x` for a part of it. */
export function controlRoutes({ registry, code, invoker, concurrency }: ControlDeps): readonly (readonly [string, Route])[] {
  const target = (request: ApiRequest, name: string) => parseFunctionName(name, request.query.get('Qualifier') ?? undefined);
  const nameOf = (name: string): string => parseFunctionName(name, undefined).name;
  const reservedByAll = (): number => registry.list().reduce((sum, { reservedConcurrency = 0 }) => sum + reservedConcurrency, 0);

  async function codeOf(given: { ZipFile?: Buffer | undefined; S3Bucket?: string | undefined; S3Key?: string | undefined }): Promise<StoredCode> {
    if (given.ZipFile) return code.put(given.ZipFile);
    if (given.S3Bucket !== undefined && given.S3Key !== undefined) return code.find(given.S3Bucket, given.S3Key);
    throw invalidParameter('Please provide a source for function code: ZipFile, or S3Bucket and S3Key');
  }
  function published(name: string, version: FunctionVersion, publish: boolean): FunctionVersion {
    return publish ? registry.publish(name, undefined, undefined) : version;
  }
  function changed(name: string): void {
    const { latest, published: versions } = registry.get(name);
    invoker.retire(name, new Set([latest, ...versions].map(({ revisionId }) => revisionId)));
  }

  return [
    [
      'POST /2015-03-31/functions',
      async (request) => {
        const input = requests.parseRequest(requests.CreateFunction, bodyOf(request, 'CreateFunction'));
        const name = nameOf(input.FunctionName);
        const environment = input.Environment.Variables ?? {};
        requests.checkEnvironment(environment);
        const stored = await codeOf(input.Code);
        const settings: FunctionSettings = {
          description: input.Description,
          runtime: input.Runtime,
          role: input.Role,
          handler: input.Handler,
          timeoutS: input.Timeout,
          memoryMib: input.MemorySize,
          environment,
          architecture: input.Architectures?.[0] ?? 'x86_64',
          codeSha256: stored.sha256,
          codeBytes: stored.sizeBytes,
        };
        const latest = registry.create(name, settings);
        // As on AWS, creation is answered as pending; here the function is ready by the time anybody can ask again.
        return {
          status: 201,
          body: { ...describeVersion(name, published(name, latest, input.Publish)), State: 'Pending', StateReasonCode: 'Creating' },
        };
      },
    ],
    [
      'GET /2015-03-31/functions',
      (request) => {
        const all = registry.list().flatMap((stored) => {
          const latest = describeVersion(stored.name, stored.latest);
          if (request.query.get('FunctionVersion') !== 'ALL') return [{ ...latest, FunctionArn: functionArn(stored.name) }];
          return [latest, ...stored.published.map((version) => describeVersion(stored.name, version))];
        });
        const { items, next } = page(all, request);
        return { status: 200, body: { Functions: items, ...next } };
      },
    ],
    [
      'GET /2015-03-31/functions/:name',
      (request, name) => {
        const where = target(request, name as string);
        const stored = registry.get(where.name);
        const version = registry.resolve(where);
        return {
          status: 200,
          body: {
            Configuration: describeTarget(stored, version, where.qualifier),
            Code: { RepositoryType: 'S3', Location: `${request.endpoint}/smlt/code/${version.codeSha256}.zip` },
            ...(stored.reservedConcurrency === undefined ? {} : { Concurrency: { ReservedConcurrentExecutions: stored.reservedConcurrency } }),
          },
        };
      },
    ],
    [
      'DELETE /2015-03-31/functions/:name',
      (request, name) => {
        const where = target(request, name as string);
        registry.delete(where);
        if (where.qualifier === undefined) invoker.retire(where.name);
        else changed(where.name);
        return { status: 204 };
      },
    ],
    [
      'GET /2015-03-31/functions/:name/configuration',
      (request, name) => {
        const where = target(request, name as string);
        return { status: 200, body: describeTarget(registry.get(where.name), registry.resolve(where), where.qualifier) };
      },
    ],
    [
      'PUT /2015-03-31/functions/:name/configuration',
      (request, text) => {
        const name = nameOf(text as string);
        const input = requests.parseRequest(requests.UpdateConfiguration, bodyOf(request, 'UpdateFunctionConfiguration'));
        if (input.Environment?.Variables) requests.checkEnvironment(input.Environment.Variables);
        const version = registry.update(name, {
          ...(input.Role === undefined ? {} : { role: input.Role }),
          ...(input.Handler === undefined ? {} : { handler: input.Handler }),
          ...(input.Runtime === undefined ? {} : { runtime: input.Runtime }),
          ...(input.Description === undefined ? {} : { description: input.Description }),
          ...(input.Timeout === undefined ? {} : { timeoutS: input.Timeout }),
          ...(input.MemorySize === undefined ? {} : { memoryMib: input.MemorySize }),
          ...(input.Environment === undefined ? {} : { environment: input.Environment.Variables ?? {} }),
        });
        changed(name);
        return { status: 200, body: { ...describeVersion(name, version), FunctionArn: functionArn(name), ...updating } };
      },
    ],
    [
      'PUT /2015-03-31/functions/:name/code',
      async (request, text) => {
        const name = nameOf(text as string);
        const input = requests.parseRequest(requests.UpdateCode, bodyOf(request, 'UpdateFunctionCode'));
        registry.get(name);
        const stored = await codeOf(input);
        const change = {
          codeSha256: stored.sha256,
          codeBytes: stored.sizeBytes,
          ...(input.Architectures?.[0] ? { architecture: input.Architectures[0] } : {}),
        };
        if (input.DryRun) return { status: 200, body: describeVersion(name, { ...registry.get(name).latest, ...change }) };
        const latest = registry.update(name, change);
        changed(name);
        const version = published(name, latest, input.Publish);
        return {
          status: 200,
          body: { ...describeVersion(name, version), ...(input.Publish ? {} : { FunctionArn: functionArn(name) }), ...updating },
        };
      },
    ],
    [
      'POST /2015-03-31/functions/:name/versions',
      (request, text) => {
        const name = nameOf(text as string);
        const input = requests.parseRequest(requests.PublishVersion, bodyOf(request, 'PublishVersion'));
        checkRevision(input.RevisionId, registry.get(name).latest.revisionId);
        return { status: 201, body: describeVersion(name, registry.publish(name, input.Description, input.CodeSha256)) };
      },
    ],
    [
      'GET /2015-03-31/functions/:name/versions',
      (request, text) => {
        const stored = registry.get(nameOf(text as string));
        const { items, next } = page(
          [stored.latest, ...stored.published].map((version) => describeVersion(stored.name, version)),
          request,
        );
        return { status: 200, body: { Versions: items, ...next } };
      },
    ],
    [
      'POST /2015-03-31/functions/:name/aliases',
      (request, text) => {
        const name = nameOf(text as string);
        const input = requests.parseRequest(requests.CreateAlias, bodyOf(request, 'CreateAlias'));
        const alias = registry.setAlias(
          name,
          {
            name: input.Name,
            description: input.Description ?? '',
            version: input.FunctionVersion,
            weights: input.RoutingConfig?.AdditionalVersionWeights ?? {},
          },
          'create',
        );
        return { status: 201, body: describeAlias(name, alias) };
      },
    ],
    [
      'GET /2015-03-31/functions/:name/aliases',
      (request, text) => {
        const stored = registry.get(nameOf(text as string));
        const version = request.query.get('FunctionVersion');
        const all = Object.values(stored.aliases).filter((alias) => version === null || alias.version === version);
        const { items, next } = page(
          all.map((alias) => describeAlias(stored.name, alias)),
          request,
        );
        return { status: 200, body: { Aliases: items, ...next } };
      },
    ],
    [
      'GET /2015-03-31/functions/:name/aliases/:alias',
      (_request, text, alias) => {
        const name = nameOf(text as string);
        return { status: 200, body: describeAlias(name, registry.alias(registry.get(name), alias as string)) };
      },
    ],
    [
      'PUT /2015-03-31/functions/:name/aliases/:alias',
      (request, text, aliasName) => {
        const name = nameOf(text as string);
        const input = requests.parseRequest(requests.UpdateAlias, bodyOf(request, 'UpdateAlias'));
        const before = registry.alias(registry.get(name), aliasName as string);
        const alias = registry.setAlias(
          name,
          {
            name: before.name,
            description: input.Description ?? before.description,
            version: input.FunctionVersion ?? before.version,
            weights: input.RoutingConfig ? (input.RoutingConfig.AdditionalVersionWeights ?? {}) : before.weights,
          },
          'update',
        );
        return { status: 200, body: describeAlias(name, alias) };
      },
    ],
    [
      'DELETE /2015-03-31/functions/:name/aliases/:alias',
      (_request, text, alias) => {
        registry.deleteAlias(nameOf(text as string), alias as string);
        return { status: 204 };
      },
    ],
    [
      'PUT /2017-10-31/functions/:name/concurrency',
      (request, text) => {
        const name = nameOf(text as string);
        const { ReservedConcurrentExecutions: wanted } = requests.parseRequest(requests.PutConcurrency, bodyOf(request, 'PutFunctionConcurrency'));
        const others = reservedByAll() - (registry.get(name).reservedConcurrency ?? 0);
        const minimum = concurrency >= AWS_DEFAULT_CONCURRENCY ? AWS_UNRESERVED_MINIMUM : 0;
        if (concurrency - others - wanted < minimum) {
          throw invalidParameter(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of " +
              `[${minimum}].`,
          );
        }
        registry.reserve(name, wanted);
        return { status: 200, body: { ReservedConcurrentExecutions: wanted } };
      },
    ],
    [
      'DELETE /2017-10-31/functions/:name/concurrency',
      (_request, text) => {
        registry.reserve(nameOf(text as string), undefined);
        return { status: 204 };
      },
    ],
    [
      'GET /2019-09-30/functions/:name/concurrency',
      (_request, text) => {
        const { reservedConcurrency } = registry.get(nameOf(text as string));
        return { status: 200, body: reservedConcurrency === undefined ? {} : { ReservedConcurrentExecutions: reservedConcurrency } };
      },
    ],
    [
      'GET /2016-08-19/account-settings',
      () => ({
        status: 200,
        body: {
          AccountLimit: {
            CodeSizeUnzipped: MAX_UNPACKED_BYTES,
            CodeSizeZipped: 52_428_800,
            ConcurrentExecutions: concurrency,
            TotalCodeSize: 80_530_636_800,
            UnreservedConcurrentExecutions: concurrency - reservedByAll(),
          },
          AccountUsage: {
            FunctionCount: registry.list().length,
            TotalCodeSize: registry.list().reduce((sum, { latest }) => sum + latest.codeBytes, 0),
          },
        },
      }),
    ],
  ];
}

const updating = { LastUpdateStatus: 'InProgress', LastUpdateStatusReasonCode: 'Creating' };

function bodyOf({ body }: ApiRequest, operation: string): Buffer {
  if (body === 'tooLarge') throw tooLarge(MAX_CODE_REQUEST_BYTES, operation);
  return body;
}

function checkRevision(expected: string | undefined, actual: string): void {
  if (expected === undefined || expected === actual) return;
  throw new ApiError(
    412,
    'PreconditionFailedException',
    'The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id',
  );
}

function describeTarget(stored: StoredFunction, version: FunctionVersion, qualifier: string | undefined): Record<string, unknown> {
  return { ...describeVersion(stored.name, version), FunctionArn: functionArn(stored.name, qualifier) };
}

function describeVersion(name: string, version: FunctionVersion): Record<string, unknown> {
  return {
    FunctionName: name,
    FunctionArn: functionArn(name, version.version),
    Runtime: version.runtime,
    Role: version.role,
    Handler: version.handler,
    CodeSize: version.codeBytes,
    Description: version.description,
    Timeout: version.timeoutS,
    MemorySize: version.memoryMib,
    LastModified: version.lastModified,
    CodeSha256: Buffer.from(version.codeSha256, 'hex').toString('base64'),
    Version: version.version,
    Environment: { Variables: version.environment },
    TracingConfig: { Mode: 'PassThrough' },
    RevisionId: version.revisionId,
    State: 'Active',
    LastUpdateStatus: 'Successful',
    PackageType: 'Zip',
    Architectures: [version.architecture],
    EphemeralStorage: { Size: 512 },
    LoggingConfig: { LogFormat: 'Text', LogGroup: `/aws/lambda/${name}` },
  };
}

function describeAlias(name: string, alias: FunctionAlias): Record<string, unknown> {
  return {
    AliasArn: functionArn(name, alias.name),
    Name: alias.name,
    FunctionVersion: alias.version,
    Description: alias.description,
    RevisionId: alias.revisionId,
    ...(Object.keys(alias.weights).length === 0 ? {} : { RoutingConfig: { AdditionalVersionWeights: alias.weights } }),
  };
}

/** Lambda's paging: 50 a page unless asked otherwise; the marker is the place to go on from. */
function page<T>(all: readonly T[], { query }: ApiRequest): { items: T[]; next: { NextMarker?: string } } {
  const start = Number(query.get('Marker') ?? 0);
  const size = Math.min(Number(query.get('MaxItems') ?? 50), 10_000);
  if (!Number.isInteger(start) || !Number.isInteger(size) || size < 1) throw invalidParameter('Marker or MaxItems is not valid');
  return { items: all.slice(start, start + size), next: start + size < all.length ? { NextMarker: String(start + size) } : {} };
}
