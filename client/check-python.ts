import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { DataSetManifest } from '../contracts/data-set';
import { isErrorCode, SmltError } from '../contracts/errors';
import type { Job } from '../contracts/job';
import type { PythonModel } from '../contracts/model';
import { ensurePython } from '../platforms/python/environment';
import { cacheDir, packageRoot } from './home';
import type { ModelFacts } from './model-facts';

const Described = z.union([
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
  z.object({ paramCount: z.int(), peakMemoryMib: z.number(), notes: z.array(z.string()) }),
]);
const run = promisify(execFile);

/** Makes the program's Python where it is missing, loads the program in it, computes a gradient and asks what it trains. */
export async function checkPython(
  model: PythonModel,
  { data, loss, training }: Job,
  { featureShape, target }: DataSetManifest,
  tell: (line: string) => void,
): Promise<ModelFacts> {
  if (!model.python.startsWith('file:')) throw new SmltError('InvalidSpec', `model.python: ${model.python}: expected a file on this machine`);
  const program = fileURLToPath(model.python);
  if (!existsSync(program)) throw new SmltError('InvalidSpec', `model.python: ${program}: there is no such file`);
  const { interpreter } = await ensurePython(model, { cacheDir: cacheDir(), environment: process.env, tell });
  const spec = JSON.stringify({ featureShape, target, loss, seed: training.seed });
  const environment = { ...process.env, PYTHONPATH: join(packageRoot(), 'dist', 'python'), PYTHONHASHSEED: '0' };
  // A lane's first gradient finds what loading cannot: shapes that do not fit the data, a loss that fails.
  const lane = data.train.startsWith('file:')
    ? ['--data', fileURLToPath(data.train), '--lanes', String(training.lanes), '--batch-size', String(training.batchSize)]
    : [];
  const { stdout } = await run(interpreter, ['-m', 'smlt', 'describe', program, '--spec', spec, ...lane], { env: environment }).catch(
    (error: Error & { stderr?: string }) => {
      throw new SmltError('ProgramFailed', `${model.python}: ${error.stderr?.trim().split('\n').slice(-5).join('\n') ?? error.message}`, {
        cause: error,
      });
    },
  );
  const described = Described.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
  if ('error' in described) {
    const { code, message } = described.error;
    throw new SmltError(isErrorCode(code) ? code : 'ProgramFailed', message);
  }
  for (const note of described.notes) tell(note);
  return { paramCount: described.paramCount, peakMemoryMib: described.peakMemoryMib, forwardFlopsPerSample: 0 };
}
