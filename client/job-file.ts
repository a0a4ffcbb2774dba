import { readFile } from 'node:fs/promises';
import { dirname, extname, isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseDocument } from 'yaml';
import { SmltError } from '../contracts/errors';
import { parseJob, type Job } from '../contracts/job';

/** Reads a job file, JSON or YAML; relative paths in it are relative to it. @throws {SmltError} `InvalidSpec` with every bad field */
export async function readJobFile(path: string): Promise<Job> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder; name the job file in it' : (error as Error).message;
    throw new SmltError('InvalidSpec', `job file ${path}: ${why}.`, { cause: error });
  }
  const folder = dirname(resolve(path));
  return parseJob(await withRequirements(resolvePaths(parseText(text, path), folder), folder));
}

/** JSON is YAML too, but JSON's own parser has the words that people who write JSON know. */
function parseText(text: string, path: string): unknown {
  if (['.yaml', '.yml'].includes(extname(path).toLowerCase())) {
    const document = parseDocument(text);
    const [error] = document.errors;
    if (error) throw new SmltError('InvalidSpec', `job file ${path} is not YAML: ${error.message}`, { cause: error });
    return document.toJS() as unknown;
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, '')) as unknown;
  } catch (error) {
    throw new SmltError('InvalidSpec', `job file ${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Makes URIs of the paths that a job may hold. What is no text is left to the schema, which has the words for it. */
function resolvePaths(job: unknown, folder: string): unknown {
  if (!isRecord(job)) return job;
  const { data, model } = job;
  return {
    ...job,
    ...(isRecord(data) && { data: Object.fromEntries(Object.entries(data).map(([split, path]) => [split, toUri(path, folder)])) }),
    ...(isRecord(model) && { model: resolveModel(model, folder) }),
  };
}

function resolveModel(model: Record<string, unknown>, folder: string): Record<string, unknown> {
  const { onnx, weights, python, files, interpreter } = model;
  return {
    ...model,
    ...('onnx' in model && { onnx: toUri(onnx, folder) }),
    ...('weights' in model && { weights: toUri(weights, folder) }),
    ...('python' in model && { python: toUri(python, folder) }),
    ...(Array.isArray(files) && { files: files.map((file) => toUri(file, folder)) }),
    // A name alone is looked up on the PATH, as a shell does.
    ...(typeof interpreter === 'string' && /[/\\]/.test(interpreter) && { interpreter: toUri(interpreter, folder) }),
  };
}

/** Requirements may lie in a file of their own; a job holds its lines. */
async function withRequirements(job: unknown, folder: string): Promise<unknown> {
  if (!isRecord(job) || !isRecord(job['model']) || typeof job['model']['requirements'] !== 'string') return job;
  const path = resolve(folder, job['model']['requirements']);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new SmltError('InvalidSpec', `model.requirements: ${path}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const requirements = text
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
  return { ...job, model: { ...job['model'], requirements } };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function toUri(path: unknown, folder: string): unknown {
  if (typeof path !== 'string' || path === '' || /^[a-z][a-z0-9+.-]+:/i.test(path)) return path;
  return pathToFileURL(isAbsolute(path) ? path : resolve(folder, path)).href;
}
