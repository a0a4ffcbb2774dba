import { phaseAt } from '../contracts/batch-size';
import type { PythonRuntime } from '../contracts/functions';
import { MicroProbeAnswer, MicroProbeRecord, type MicroProbeRequest } from '../contracts/micro-probe';
import { totalNanoUsd, type Bill } from '../contracts/money';
import { names } from '../contracts/names';
import type { MicroSample } from '../contracts/scheduling';
import { partsOf } from '../contracts/synchronization';
import { describeMicroProbe, planMicroProbe } from '../scheduler';
import { laneBatches, microBatchesOf } from '../training/lanes';
import type { EngineDependencies } from './dependencies';
import { invokeFunction } from './invocation';
import { learntBefore } from './learnt';
import { encodeRecord, findRecord } from './records';
import { readContext } from './rounds';
import { schedulerInput } from './scheduler-input';
import type { NextQuestion } from './scheduling-question';

/** One function's part of a micro-probe. */
export interface GradientProbe extends Omit<MicroProbeRequest, 'storeUri' | 'probe'> {
  readonly python?: PythonRuntime | undefined;
}
export interface MicroProbeStart {
  readonly probes: readonly GradientProbe[];
  /** They share cores that really exist, so one must not slow another down. */
  readonly inTurn: boolean;
}

/** Gradients on single functions, timed before a run's first round where that pays. */
export function createMicroProbeActivities(engine: EngineDependencies) {
  const { store, platform } = engine;
  const keep = (run: string, record: Omit<MicroProbeRecord, 'formatVersion'>) =>
    store.decide(names.microProbe(run), encodeRecord({ formatVersion: 1, ...record }));
  return {
    /** What to measure; where nothing is, the reason is kept for the first round's. */
    async planMicroProbe(question: NextQuestion): Promise<MicroProbeStart> {
      const { run, step } = question;
      const context = await readContext(store, question);
      const { job, program, recipeBody } = context;
      const { programDigest, python } = program;
      const inTurn = Number.isFinite(platform.limits.totalCores);
      if (await findRecord(store, MicroProbeRecord, names.microProbe(run))) return { probes: [], inTurn };
      const before = await learntBefore(engine, programDigest);
      const [share] = laneBatches(phaseAt(recipeBody, step).batchSize, recipeBody.lanes) as [number];
      const [samples] = microBatchesOf(share, partsOf(recipeBody)) as [number];
      const plan = planMicroProbe({ ...schedulerInput(engine, question, context), ...before }, samples);
      if (plan.sizesMib.length === 0) await keep(run, { programDigest, note: `No micro-probe: ${plan.reason}.`, samples: [] });
      const probe = { programDigest, dataUri: job.data.train, samples, ...(python && { python }) };
      return { probes: plan.sizesMib.map((memoryMib) => ({ ...probe, memoryMib })), inTurn };
    },

    /** Measures on one function. One that fails has taught nothing, and is paid for. */
    async probeGradients({ python, ...probe }: GradientProbe): Promise<{ samples: MicroSample[]; bill: Bill }> {
      const request: MicroProbeRequest = { probe: 'gradients', storeUri: store.uri, ...probe };
      const spec = { role: 'train', memoryMib: probe.memoryMib, timeoutMs: platform.limits.timeoutMs, ...(python && { python }) } as const;
      const outcome = await invokeFunction(engine, spec, request, MicroProbeAnswer);
      return { samples: outcome.kind === 'answered' ? outcome.answer.samples : [], bill: outcome.bill };
    },

    async keepMicroProbe(measured: { run: string; programDigest: string; samples: MicroSample[]; bill: Bill }): Promise<void> {
      const { run, programDigest, samples, bill } = measured;
      const note = samples.length > 0 ? describeMicroProbe(samples, totalNanoUsd(bill)) : 'The micro-probe’s functions failed, so it taught nothing.';
      await keep(run, { programDigest, note, samples });
    },
  };
}

/** What a run has measured of this program before its first round, as the scheduler reads it. */
export async function microProbeOf({ store }: EngineDependencies, run: string, programDigest: string) {
  const record = await findRecord(store, MicroProbeRecord, names.microProbe(run));
  if (!record || record.programDigest !== programDigest) return {};
  return { microProbeNote: record.note, ...(record.samples.length > 0 && { microProbe: record.samples }) };
}
