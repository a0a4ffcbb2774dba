import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { JobInput } from '../../contracts/job';
import { names } from '../../contracts/names';
import { FINAL_TRACK, type RunRecord } from '../../contracts/pipeline';
import { TrackContext } from '../../contracts/round';
import { CurveChunk } from '../../activities/rounds';
import { decodeRecord, readRecord } from '../../activities/records';
import { floatsOf } from '../../functions/bytes';
import { readProgram } from '../../functions/program';
import { readWeights } from '../../functions/weights';
import type { Engine } from './engine';

/** A Python with the frameworks, made by scripts/frameworks.mjs. */
export const frameworksPython = process.env['SMLT_FRAMEWORKS_PYTHON'] ?? join(__dirname, '..', '..', '.cache', 'frameworks', 'bin', 'python');

/** Writes a program.py in a folder of its own; answers the model of a job. */
export function pythonModel(home: string, name: string, source: string): { python: string; interpreter: string } {
  const folder = join(home, 'programs', name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'program.py'), source);
  return { python: pathToFileURL(join(folder, 'program.py')).href, interpreter: frameworksPython };
}

/** Runs a job's pipeline to its end, which must be a good one. */
export async function complete(engine: Engine, run: string, job: JobInput): Promise<RunRecord> {
  const record = await engine.run<RunRecord>('pipeline', run, { job });
  expect(`${record.status}: ${record.reason}`).toMatch(/^completed/);
  return record;
}

/** Mean losses of a run's steps, from the first. */
export async function lossesOf({ store }: Engine, run: string): Promise<number[]> {
  const losses: number[] = [];
  for (const track of ['trial-000', FINAL_TRACK]) {
    const chunks = (await store.list(names.rounds({ run, track }))).filter((name) => name.endsWith('/curve'));
    for (const name of chunks) {
      const { first, losses: stretch } = decodeRecord(CurveChunk, await store.get(name), name);
      stretch.forEach((loss, i) => (losses[first + i] = loss ?? Number.NaN));
    }
  }
  return losses;
}

/** What a run without trials began training with: initial parameters by name. */
export async function initialParamsOf({ store }: Engine, run: string): Promise<Map<string, Float32Array>> {
  const context = (await store.list(names.run(run))).find((name) => name.endsWith('/context'))!;
  const program = await readProgram(store, (await readRecord(store, TrackContext, context)).program.programDigest);
  const values = floatsOf(await store.get(program.initialParams));
  return new Map(program.params.map(({ name, offset, length }) => [name, values.slice(offset, offset + length)]));
}

/** What a run without trials has trained: parameters and running statistics by name. */
export async function trainedOf({ store }: Engine, run: string): Promise<Map<string, Float32Array>> {
  const committed = async (track: string) => (await store.list(names.rounds({ run, track }))).filter((name) => name.endsWith('/manifest')).length;
  const track = (await committed(FINAL_TRACK)) > 0 ? FINAL_TRACK : 'trial-000';
  const context = (await store.list(names.track({ run, track }))).find((name) => name.endsWith('/context'))!;
  const program = await readProgram(store, (await readRecord(store, TrackContext, context)).program.programDigest);
  const { params, buffers } = await readWeights(store, program, { run, track, round: (await committed(track)) - 1 });
  const named = (slices: readonly { name: string; offset: number; length: number }[], values: Float32Array) =>
    slices.map(({ name, offset, length }) => [name, values.slice(offset, offset + length)] as const);
  return new Map([...named(program.params, params), ...named(program.buffers, buffers)]);
}
