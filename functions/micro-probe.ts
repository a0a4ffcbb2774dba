import { noiseBits } from '../training/lanes';
import type { ProgramDraft } from '../training/prepare';
import { hasChannelBlocks, openTraining } from '../training/runtime';
import type { DataSet } from './data-set';

/** Up to so long, after a first gradient that also compiles. */
const MEASURING_MS = 300;
const MOST_RUNS = 5;
/** A gradient that takes longer has told enough. Source: rules, section 3, step 1. */
const LONG_MS = 4_000;
/** Preparing must not die of what it measures: beyond this share of the function's memory the counted work has to do. */
const SAFE_MEMORY_SHARE = 0.5;

/**
 * Times a gradient of the smallest lane on the first samples: the scheduler's first choice needs no guess then, and no
 * function of its own.
 * @param memoryMib  of this function; NaN where it is not known
 * @returns ms a sample on this function's vCPUs, or undefined where measuring would take too much memory
 */
export async function gradientMsPerSample(
  program: ProgramDraft,
  files: ReadonlyMap<string, Uint8Array>,
  data: DataSet,
  memoryMib: number,
): Promise<number | undefined> {
  if (program.peakMemoryMib > SAFE_MEMORY_SHARE * memoryMib) return undefined;
  const samples = Math.min(...Object.keys(program.trainingGraphs).map(Number));
  const file = ((await hasChannelBlocks()) ? program.blockedGraphs?.[samples] : undefined) ?? program.trainingGraphs[samples]!;
  const session = await openTraining(files.get(file)!, program, samples);
  try {
    const count = data.manifest.samples;
    const width = program.featureShape.reduce((product, axis) => product * axis, 1);
    const features = new Float32Array(samples * width);
    const targets = program.target.kind === 'class' ? new Int32Array(samples) : new Float32Array(samples * program.target.width);
    const indices = Array.from({ length: samples }, (_, i) => i % count);
    (await data.load([{ start: 0, end: Math.min(samples, count) }])).gather(indices, features, targets);
    const noise = program.noise.map(({ node, elementsPerSample, rate }) =>
      noiseBits({ seed: 0, step: 0, lane: 0, node, samples, elementsPerSample, rate }),
    );
    const bytes = files.get(program.initialParams)!;
    const params = new Float32Array(bytes.slice().buffer);
    const into = new Float32Array(program.paramCount + program.bufferCount + 1);
    const run = async () => {
      const startedMs = performance.now();
      await session.run({ params, features, targets, noise, into });
      return performance.now() - startedMs;
    };
    let bestMs = await run();
    for (let runs = 0, spentMs = 0; runs < MOST_RUNS && bestMs < LONG_MS && spentMs < MEASURING_MS; runs++) {
      const ms = await run();
      spentMs += ms;
      bestMs = Math.min(bestMs, ms);
    }
    return bestMs / samples;
  } finally {
    await session.close();
  }
}
