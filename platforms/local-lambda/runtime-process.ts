import { dirname, join } from 'node:path';
import { DEFAULT_REGION } from './function-name';
import { programPath, pythonBootstrapPath } from './program-path';
import type { FunctionVersion } from './registry';

/**
 * Lambda's Node runtimes all run on the Node that runs the server, its Python ones on the interpreter that the function's
 * SMLT_PYTHON names, or on what the runtime is called; `provided` ones bring a program `bootstrap`.
 */
export function commandOf({ runtime, memoryMib, environment }: FunctionVersion, taskRoot: string): { command: string; args: string[] } {
  if (runtime.startsWith('provided')) return { command: join(taskRoot, 'bootstrap'), args: [] };
  if (runtime.startsWith('python')) return { command: environment['SMLT_PYTHON'] ?? runtime, args: [pythonBootstrapPath()] };
  // A limit that the function's own NODE_OPTIONS sets stands: an argument would overrule it.
  const limited = environment['NODE_OPTIONS']?.includes('--max-old-space-size') ?? false;
  return { command: process.execPath, args: [...(limited ? [] : [`--max-old-space-size=${Math.floor(memoryMib * 0.9)}`]), programPath('bootstrap')] };
}

/** The function's role: what this machine lets its own processes use of AWS, handed on when it is set. */
const INHERITED = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_ENDPOINT_URL',
  'AWS_ENDPOINT_URL_S3',
  'SMLT_REDIS_USERNAME',
  'SMLT_REDIS_PASSWORD',
  'HOME',
  'TMPDIR',
  'LD_LIBRARY_PATH',
];

export function environmentOf(
  functionName: string,
  version: FunctionVersion,
  taskRoot: string,
  port: number,
  logStream: string,
): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return {
    ...(Object.fromEntries(inherited) as Record<string, string>),
    // The Node that runs the server comes first: Python functions start one beside them.
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin'}`,
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    NODE_PATH: join(taskRoot, 'node_modules'),
    ...version.environment,
    AWS_REGION: process.env['AWS_REGION'] ?? DEFAULT_REGION,
    AWS_DEFAULT_REGION: process.env['AWS_REGION'] ?? DEFAULT_REGION,
    AWS_EXECUTION_ENV: `AWS_Lambda_${version.runtime}`,
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_VERSION: version.version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(version.memoryMib),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${functionName}`,
    AWS_LAMBDA_LOG_STREAM_NAME: logStream,
    AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
    LAMBDA_TASK_ROOT: taskRoot,
    LAMBDA_RUNTIME_DIR: taskRoot,
    _HANDLER: version.handler,
  };
}
