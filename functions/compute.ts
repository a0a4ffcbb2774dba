import { z } from 'zod';
import type { Loss } from '../contracts/model';
import type { Program } from '../contracts/program';
import type { PrepareRequest } from '../contracts/functions';
import type { ObjectStore } from '../storage/object-store';
import type { ProgramDraft } from '../training/prepare';
import type { ForwardInput as RuntimeInput, ModelSession, TrainingInput } from '../training/runtime';
import type { DataSet } from './data-set';
import type { Stores } from './stores';

/** What a lane's randomness follows from, whoever computes it. */
export interface LaneStep {
  readonly seed: number;
  readonly step: number;
  readonly lane: number;
}
export interface LaneInput extends TrainingInput, LaneStep {
  /** False where this session or another of the same program has been given the same parameters just before. */
  readonly newParams: boolean;
}
/** Gradients of one lane's samples: sums, laid out as docs/lanes.md has it. */
export interface LaneSession {
  run(input: LaneInput): Promise<void>;
  close(): Promise<void>;
}

export interface ForwardInput extends RuntimeInput {
  /** Given where the program's own loss is wanted too. */
  readonly targets?: Float32Array | Int32Array;
}
export interface ForwardSession {
  /** Raw outputs `[samples, width]`, flat; the loss summed over the samples where it is the program's own. */
  run(input: ForwardInput): Promise<{ outputs: Float32Array; lossSum?: number | undefined }>;
  close(): Promise<void>;
}

export interface BuildRequest {
  readonly stores: Stores;
  readonly request: PrepareRequest;
  readonly data: DataSet;
}
/** A program before it is stored, and the files that its fields name. */
export interface Built {
  readonly program: ProgramDraft;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What counting tells too little of, or nothing. */
  readonly measured: Measured;
}
export const Measured = z.object({
  peakMemoryMib: z.number().optional(),
  gradientMsPerSample: z.number().optional(),
  coldStartMs: z.number().optional(),
  /** What the user should know. */
  notes: z.array(z.string()).optional(),
});
export type Measured = z.output<typeof Measured>;
export interface Weights {
  readonly params: Float32Array;
  readonly buffers: Float32Array;
}
/** What the card of a deployed model says that a prediction needs. */
export interface ModelCard {
  readonly loss: Loss;
  readonly featureShape: readonly number[];
  readonly programDigest: string;
}

/**
 * The part of a program that computes: everything between a lane's samples and its gradient, and between samples and
 * outputs. The rest of a step (lanes, tree, owners, optimisers, names) does not know what is behind it.
 */
export interface Compute {
  /** Names the host by what decides its bits. */
  cpuClass(): Promise<string>;
  /** The most memory that this instance has resided in. */
  peakRssMib(): number;
  /** Makes a program of a model. @throws {SmltError} what is wrong with the model, before anything is spent */
  build(request: BuildRequest): Promise<Built>;
  /** For lanes of so many samples. */
  openLane(store: ObjectStore, program: Program, samples: number): Promise<LaneSession>;
  openForward(store: ObjectStore, program: Program): Promise<ForwardSession>;
  /** The model as others can use it, by file name; the first file's name stands for all of them. */
  modelFiles(store: ObjectStore, program: Program, weights: Weights): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Opens what `modelFiles` made. @param named  the object that holds a file of the model */
  openModel(store: ObjectStore, card: ModelCard, named: (file: string) => string): Promise<ModelSession>;
}
