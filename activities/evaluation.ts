import type { MetricSums } from '../contracts/functions';
import { EvaluateAnswer, type EvaluateRequest, type PythonRuntime, type WeightsReference } from '../contracts/functions';
import { names } from '../contracts/names';
import { Metrics } from '../contracts/metrics';
import { Program } from '../contracts/program';
import type { Bill } from '../contracts/money';
import type { Failure } from '../contracts/round';
import { mergeSums, metricsOf } from '../training/metrics';
import type { EngineDependencies } from './dependencies';
import { invokeFunction } from './invocation';
import { encodeRecord, readRecord } from './records';
import { readContext, readManifest } from './rounds';

const EVALUATE_MEMORY_MIB = 1_769;
/** The first samples' raw outputs are kept, so that a deployed model can be held against them. */
export const CHECKED_OUTPUTS = 32;

export interface EvaluationPart extends WeightsReference {
  readonly programDigest: string;
  readonly dataUri: string;
  readonly part: number;
  readonly start: number;
  readonly end: number;
  readonly split: string;
  readonly python?: PythonRuntime | undefined;
}
export type PartOutcome =
  | { readonly kind: 'done'; readonly bill: Bill }
  | { readonly kind: 'failed'; readonly error: Failure; readonly bill: Bill }
  | { readonly kind: 'again'; readonly reason: string; readonly bill: Bill };

export function createEvaluationActivities(engine: EngineDependencies) {
  const { store } = engine;
  const partName = (p: WeightsReference & { split: string; part: number }) => names.evaluation(p.run, `${p.track}-${p.round}-${p.split}`, p.part);
  return {
    /** How many samples a split has: what evaluate divides among functions. */
    async countSamples({ dataUri }: { dataUri: string }): Promise<number> {
      return (await engine.readDataSet(dataUri)).samples;
    },
    /** Measures one part of the data; its sums stay in the store, whole and exact. */
    async evaluatePart(part: EvaluationPart): Promise<PartOutcome> {
      const { run, track, round, programDigest, dataUri, start, end } = part;
      const request: EvaluateRequest = {
        storeUri: store.uri,
        programDigest,
        weights: { run, track, round },
        dataUri,
        start,
        end,
        saveOutputs: part.part === 0 ? CHECKED_OUTPUTS : 0,
      };
      const outcome = await invokeFunction(
        engine,
        {
          role: 'evaluate',
          memoryMib: EVALUATE_MEMORY_MIB,
          timeoutMs: engine.platform.limits.timeoutMs,
          ...(part.python && { python: part.python }),
        },
        request,
        EvaluateAnswer,
      );
      switch (outcome.kind) {
        case 'answered':
          await store.replace(partName(part), encodeRecord(outcome.answer));
          return { kind: 'done', bill: outcome.bill };
        case 'failed':
          return outcome;
        case 'crashed':
          return { kind: 'again', reason: outcome.message, bill: outcome.bill };
        case 'outOfMemory':
          return {
            kind: 'failed',
            error: { code: 'FunctionFailed', message: `evaluate ran out of its ${outcome.memoryMib} MiB` },
            bill: outcome.bill,
          };
        case 'timedOut':
          return {
            kind: 'failed',
            error: { code: 'FunctionFailed', message: `evaluating samples ${start} to ${end} did not end within the function time limit` },
            bill: outcome.bill,
          };
      }
    },
    async mergeEvaluation({
      run,
      track,
      round,
      split,
      parts,
    }: WeightsReference & { split: string; parts: number }): Promise<{ metrics: Metrics; samples: number }> {
      const answers = await Promise.all(
        Array.from({ length: parts }, (_, part) => readRecord(store, EvaluateAnswer, partName({ run, track, round, split, part }))),
      );
      const sums: MetricSums = mergeSums(answers.map((answer) => answer.sums));
      const manifest = await readManifest(store, { run, track, round });
      const { job, program } = await readContext(store, { run, track, recipe: manifest.recipe });
      const { target } = await readRecord(store, Program, names.program(program.programDigest, 'program.json'));
      const metrics = metricsOf(sums, job.loss, target);
      return {
        metrics: Metrics.parse(sums.confusion.length > 0 && sums.confusion.length <= 20 ? { ...metrics, confusion: sums.confusion } : metrics),
        samples: sums.samples,
      };
    },
  };
}
