import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sha256Hex } from '../../storage/digest';
import { finishManifest, packDataSet } from '../../training/data-set';

/** Images of 8x8 whose class is the quarter that is bright, with noise: small, real to learn, and the same for a seed. */
export function writeQuarters(folder: string, samples: number, seed: number): string {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const features = new Float32Array(samples * 64);
  const targets = new Int32Array(samples);
  for (let sample = 0; sample < samples; sample++) {
    const label = Math.floor(random() * 4);
    targets[sample] = label;
    for (let y = 0; y < 8; y++)
      for (let x = 0; x < 8; x++) {
        const bright = (y >= 4 ? 2 : 0) + (x >= 4 ? 1 : 0) === label;
        features[sample * 64 + y * 8 + x] = random() * 0.8 + (bright ? 0.35 : 0);
      }
  }
  return writeDataSet(folder, { features, featureShape: [1, 8, 8], targets, kind: 'class', classes: 4, seed, samplesPerShard: 256 });
}

export function writeDataSet(folder: string, raw: Parameters<typeof packDataSet>[0]): string {
  mkdirSync(folder, { recursive: true });
  const packed = packDataSet(raw);
  for (const { file, bytes } of packed.shards) writeFileSync(join(folder, file), bytes);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(finishManifest(packed, sha256Hex)));
  return pathToFileURL(folder).href;
}
