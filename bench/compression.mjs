// CPU that each compression takes, ms for a million elements: settling a sum, encoding and decoding one, and what a lane of a
// sparse method does beside them. scheduler/model/compression-price.ts has the figures.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { methodOf, SCRATCH_FLOATS } = require('../dist/training/compression/index.js');
const { KernelMemory } = require('../dist/training/kernels/index.js');

const ELEMENTS = 1 << 20;
const ROUNDS = 25;
const compressions = [
  { kind: 'bf16' },
  { kind: 'fp16' },
  { kind: 'qsgd', bits: 8 },
  { kind: 'qsgd', bits: 4 },
  { kind: 'top-k', density: 0.01 },
  { kind: 'significance', threshold: 0.01 },
];

const memory = new KernelMemory();
const [sum, kept, keeps, params, decoded] = Array.from({ length: 5 }, () => memory.floats(ELEMENTS));
const room = memory.floats(ELEMENTS + 2 ** 13);
const out = new Uint8Array(room.buffer, room.byteOffset, room.byteLength);
const gradient = Float32Array.from({ length: ELEMENTS }, (_, i) => Math.sin(i * 12.9898) * 0.01);
const at = { step: 3, node: { start: 0, end: 1 }, first: 0 };
const lane = { step: 3, samples: 32, learningRate: 0.01, params };

function cpuMs(work) {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / (ELEMENTS / 1e6);
}
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1].toFixed(1);

const rows = compressions.map((compression) => {
  const method = methodOf(compression, memory.floats(SCRATCH_FLOATS), 1);
  const times = { lane: [], settle: [], encode: [], decode: [] };
  for (let round = 0; round < ROUNDS; round++) {
    sum.set(gradient);
    let bytes = 0;
    times.lane.push(cpuMs(() => method.lane?.select(sum, kept, keeps, lane)));
    times.settle.push(cpuMs(() => method.settle(sum, at)));
    times.encode.push(cpuMs(() => (bytes = method.encode(sum, out))));
    times.decode.push(cpuMs(() => method.decode(out.subarray(0, Math.ceil(bytes / 4) * 4), decoded)));
  }
  const { kind, ...settings } = compression;
  return { compression: [kind, ...Object.values(settings)].join(' '), ...Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, median(ms)])) }; // prettier-ignore
});
console.table(rows);
