// Shapes of the papers in the simulator, and where smlt is faster or cheaper than what. Simulated: list prices, nothing is spent.
// usage: npm run bench:evaluation [-- --seeds 3] [--json] [--svg FOLDER]
// A shape that fails is reported as failing, and the command still ends with 0.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Claims } from './claims.mjs';
import { lineChart } from './plot.mjs';
import { batchingShapes } from './shapes/batching.mjs';
import { comparedShapes } from './shapes/compared.mjs';
import { growthShapes, series } from './shapes/growth.mjs';
import { limitShapes } from './shapes/limits.mjs';

const { values: args } = parseArgs({
  options: { json: { type: 'boolean' }, svg: { type: 'string' }, seeds: { type: 'string', default: '3' } },
});
/** Of limits and batches; growth and the systems' comparison have one truth. */
const seeds = Array.from({ length: Number(args.seeds) }, (_, i) => i + 1);
if (!(seeds.length > 0)) throw new Error(`--seeds ${args.seeds}: expected a whole number from 1 on`);

const claims = new Claims();
const tables = {};
growthShapes(claims, tables);
limitShapes(claims, tables, seeds);
batchingShapes(claims, tables, seeds);
comparedShapes(claims, tables);

const shapes = claims.list;
const failing = shapes.filter(({ pass }) => !pass).length;
if (args.svg) {
  const title = 'Synchronisation of one step, 41 million parameters (simulated)';
  writeFileSync(join(args.svg, 'evaluation-sync.svg'), lineChart({ title, xLabel: 'workers', yLabel: 'seconds', series }));
}
if (args.json) console.log(JSON.stringify({ seeds: seeds.length, shapes, tables, failing }, null, 2));
else {
  console.table(Object.fromEntries(shapes.map(({ claim, ...rest }) => [claim, rest])));
  for (const [title, rows] of Object.entries(tables)) {
    console.log(`\n${title}`);
    console.table(rows);
  }
  console.log(`${shapes.length - failing} shapes pass, ${failing} fail`);
}
