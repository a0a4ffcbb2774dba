import { z } from 'zod';
import { invalidParameter, validation } from './api-error';

const RUNTIMES = ['nodejs20.x', 'nodejs22.x', 'nodejs24.x', 'provided.al2', 'provided.al2023'] as const;
/** Python runtimes too, by what they are called. */
const PYTHON_RUNTIME = /^python3\.\d+$/;
const Runtime = z.union([z.enum(RUNTIMES), z.string().regex(PYTHON_RUNTIME)]);
const RESERVED_VARIABLES = new Set([
  '_HANDLER',
  '_X_AMZN_TRACE_ID',
  'AWS_ACCESS_KEY',
  'AWS_ACCESS_KEY_ID',
  'AWS_DEFAULT_REGION',
  'AWS_EXECUTION_ENV',
  'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
  'AWS_LAMBDA_FUNCTION_NAME',
  'AWS_LAMBDA_FUNCTION_VERSION',
  'AWS_LAMBDA_INITIALIZATION_TYPE',
  'AWS_LAMBDA_LOG_GROUP_NAME',
  'AWS_LAMBDA_LOG_STREAM_NAME',
  'AWS_LAMBDA_RUNTIME_API',
  'AWS_REGION',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'LAMBDA_RUNTIME_DIR',
  'LAMBDA_TASK_ROOT',
]);
const MAX_ENVIRONMENT_BYTES = 4_096;

const Base64 = z.string().transform((text) => Buffer.from(text, 'base64'));
const Architectures = z.array(z.enum(['x86_64', 'arm64'])).length(1);
const Settings = {
  Role: z.string().regex(/^arn:aws[a-zA-Z-]*:iam::\d{12}:role\/?[a-zA-Z_0-9+=,.@\-_/]+$/, 'expected the ARN of a role'),
  Handler: z.string().regex(/^[^\s]{1,128}$/),
  Runtime,
  Description: z.string().max(256),
  Timeout: z.int().min(1).max(900),
  MemorySize: z.int().min(128).max(10_240),
  Environment: z.object({ Variables: z.record(z.string().regex(/^[a-zA-Z][a-zA-Z0-9_]+$/), z.string()).optional() }),
};
/** Fields that are not listed are accepted and ignored, as an emulator of a moving API must; what is listed is checked. */
export const CreateFunction = z.object({
  FunctionName: z.string(),
  ...Settings,
  Description: Settings.Description.default(''),
  Timeout: Settings.Timeout.default(3),
  MemorySize: Settings.MemorySize.default(128),
  Environment: Settings.Environment.default({}),
  Architectures: Architectures.optional(),
  PackageType: z.literal('Zip').default('Zip'),
  Publish: z.boolean().default(false),
  Code: z.object({ ZipFile: Base64.optional(), S3Bucket: z.string().optional(), S3Key: z.string().optional() }),
});
export const UpdateCode = z.object({
  ZipFile: Base64.optional(),
  S3Bucket: z.string().optional(),
  S3Key: z.string().optional(),
  Architectures: Architectures.optional(),
  Publish: z.boolean().default(false),
  DryRun: z.boolean().default(false),
});
export const UpdateConfiguration = z.object(Settings).partial();
export const PublishVersion = z.object({
  CodeSha256: z.string().optional(),
  Description: Settings.Description.optional(),
  RevisionId: z.string().optional(),
});
const AliasBody = z.object({
  FunctionVersion: z.string().regex(/^(\$LATEST|[0-9]+)$/),
  Description: Settings.Description.optional(),
  RoutingConfig: z.object({ AdditionalVersionWeights: z.record(z.string(), z.number()).optional() }).optional(),
});
export const CreateAlias = AliasBody.extend({ Name: z.string().regex(/^(?!^[0-9]+$)[a-zA-Z0-9-_]{1,128}$/) });
export const UpdateAlias = AliasBody.partial();
export const PutConcurrency = z.object({ ReservedConcurrentExecutions: z.int().min(0) });

/** Reads a JSON body. @throws {ApiError} in the words that AWS uses */
export function parseRequest<Schema extends z.ZodType>(schema: Schema, body: Buffer): z.output<Schema> {
  let json: unknown;
  try {
    json = JSON.parse(body.length === 0 ? '{}' : body.toString('utf8'));
  } catch {
    throw validation('Could not parse request body into json');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) =>
      `Value ${JSON.stringify(valueAt(json, path)) ?? 'null'} at '${path.map(String).join('.')}' failed to satisfy constraint: ${message}`,
  );
  throw validation(`${problems.length} validation error${problems.length === 1 ? '' : 's'} detected: ${problems.join('; ')}`);
}

export function checkEnvironment(variables: Readonly<Record<string, string>>): void {
  const reserved = Object.keys(variables).filter((name) => RESERVED_VARIABLES.has(name));
  if (reserved.length > 0) {
    throw invalidParameter(
      'Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys ' +
        `that are currently not supported for modification. Reserved keys used in this request: ${reserved.join(', ')}`,
    );
  }
  const bytes = Buffer.byteLength(JSON.stringify(variables));
  if (bytes > MAX_ENVIRONMENT_BYTES) {
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit: ${bytes} bytes`,
    );
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
}
