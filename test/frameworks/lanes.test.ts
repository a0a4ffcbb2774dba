import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesOf, sha256Of } from '../../functions/bytes';
import { DataSet } from '../../functions/data-set';
import { realStores } from '../../functions/real-world';
import { laneBatches, lanePartitions, laneSamples } from '../../training/lanes';
import { writeQuarters } from '../support/data';
import { frameworksPython } from '../support/frameworks';

const [seed, lanes, batchSize, steps] = [7, 8, 43, 12];
const inPython = (folder: string) => `
import hashlib, json
from smlt.data import DataSet
data = DataSet(${JSON.stringify(folder)})
for step in range(${steps}):
    for lane in range(${lanes}):
        batch = data.lane(seed=${seed}, step=step, lane=lane, lanes=${lanes}, batch_size=${batchSize})
        print(hashlib.sha256(batch.features.tobytes() + batch.targets.astype("<i4").tobytes()).hexdigest())
`;

it('Python reads the samples of every lane that Node reads, value by value, past an epoch’s end', async () => {
  const home = mkdtempSync(join(tmpdir(), 'smlt-lanes-'));
  try {
    const uri = writeQuarters(join(home, 'data'), 401, 1);
    const data = await DataSet.open(realStores, uri);
    const samples = await data.load([{ start: 0, end: 401 }]);
    const expected: string[] = [];
    for (let step = 0; step < steps; step++)
      for (let lane = 0; lane < lanes; lane++) {
        const batch = laneBatches(batchSize, lanes)[lane]!;
        const features = new Float32Array(batch * data.manifest.featureShape.reduce((product, axis) => product * axis, 1));
        const targets = new Int32Array(batch);
        samples.gather(laneSamples({ seed, lane, partition: lanePartitions(401, lanes)[lane]!, batch, position: step * batch }), features, targets);
        expected.push(sha256Of([bytesOf(features), bytesOf(targets)]));
      }
    const environment = { ...process.env, PYTHONPATH: join(__dirname, '..', '..', 'python') };
    const printed = execFileSync(frameworksPython, ['-c', inPython(fileURLToPath(uri))], { env: environment, encoding: 'utf8' });
    expect(printed.trim().split('\n')).toEqual(expected);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}, 60_000);
