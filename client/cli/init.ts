import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { SmltError } from '../../contracts/errors';
import type { JobInput } from '../../contracts/job';
import { packInto } from '../data-pack';
import { print } from './output';

/** `smlt init [FOLDER]`: a job and a small data set that run as they are, to be changed into one's own. */
export function initCommand(): Command {
  return new Command('init')
    .description('write a small job with its data, ready to run')
    .argument('[folder]', 'where to', 'smlt-job')
    .action(async (folder: string) => {
      const path = join(folder, 'job.json');
      if (existsSync(path)) throw new SmltError('InvalidSpec', `${path} is there already; name another folder`);
      await mkdir(folder, { recursive: true });
      for (const [split, samples, seed] of [['train', 2_000, 1], ['validation', 400, 2], ['test', 400, 3]] as const) await packInto(join(folder, 'data', split), moons(samples, seed)); // prettier-ignore
      await writeFile(path, `${JSON.stringify(job, null, 2)}\n`);
      print(`wrote ${path} and its data sets (two half moons, 2,800 points)`);
      print(`\nNext\n  smlt check ${path}\n  smlt run ${path}\n  smlt predict moons --data ${join(folder, 'data', 'test')} --count 5`);
    });
}

const job: JobInput = {
  name: 'moons',
  data: { train: 'data/train', validation: 'data/validation', test: 'data/test' },
  model: { layers: [{ dense: 32 }, 'relu', { dense: 32 }, 'relu', { dense: 2 }] },
  loss: 'softmax-cross-entropy',
  training: { epochs: 20, batchSize: 64, lanes: 8, seed: 1, optimizer: { kind: 'adam', learningRate: 0.01 } },
  evaluate: { require: { accuracy: 0.95 } },
  deploy: { name: 'moons' },
  goal: { minimize: 'time', budgetUsd: 0.05, deadline: '5m' },
};

/** Two interleaved half circles with noise. Source: the usual toy set, as in scikit-learn's make_moons. */
function moons(samples: number, seed: number) {
  const random = mulberry32(seed);
  const noise = () => 0.12 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const features = new Float32Array(samples * 2);
  const targets = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    const angle = Math.PI * random();
    const label = i % 2;
    features[2 * i] = (label === 0 ? Math.cos(angle) : 1 - Math.cos(angle)) + noise();
    features[2 * i + 1] = (label === 0 ? Math.sin(angle) : 0.5 - Math.sin(angle)) + noise();
    targets[i] = label;
  }
  return { features, featureShape: [2], targets, kind: 'class', classes: 2, seed, samplesPerShard: 1_024 } as const;
}

/** Source: Tommy Ettinger's mulberry32, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
