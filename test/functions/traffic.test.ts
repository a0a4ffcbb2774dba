/** @jest-environment ./test/support/native-arrays.ts */
import { cutOf } from '../../contracts/cut';
import { Schedule } from '../../contracts/schedule';
import { stepTraffic, type StepShape, type Traffic } from '../../contracts/step-traffic';
import { topologies, type Topology } from '../../contracts/synchronization';
import { readProgram } from '../../functions/program';
import { openExchange, type Exchange } from '../../storage';
import { slotCount } from '../../training/optimizers';
import { counterLength } from '../../training/plateau';
import { redisServer, startRedis } from '../support/redis';
import { Rig, type RigOptions, type RoundOptions } from './rig';

const STEPS = 2;
const LANES = 16;
/** Nobody waits for so long that he looks around: what faults cost is not in the formula. */
const times = { waitMs: 20_000, giveUpMs: 60_000, lookMs: 20_000 };
const jobs = { lanes: LANES, batchSize: 32, times } satisfies RigOptions;
jest.setTimeout(60_000);

type Case = Pick<RoundOptions, 'workers' | 'laneBorders' | 'topology' | 'groups'>;

/** What each worker moved in a round, counted by an exchange of its own. */
async function counted(rig: Rig, name: string, round: Case): Promise<Traffic[]> {
  const exchanges: Exchange[] = [];
  for (let worker = 0; worker < round.workers; worker++) exchanges.push(await openExchange(rig.exchange.uri));
  await rig.track(name).round({
    ...round,
    steps: STEPS,
    invocation: (worker) => ({ world: { ...rig.world, exchange: async () => exchanges[worker]! } }),
  });
  await Promise.all(exchanges.map((exchange) => exchange.close()));
  return exchanges.map(({ traffic: { bytesWritten, bytesRead, puts, gets } }) => ({ bytesWritten, bytesRead, puts, gets }));
}

/** The formula, for all steps of a round: the extra state of its last one is read by nobody. */
async function promised(rig: Rig, { workers, laneBorders, topology = 'scatter-reduce', groups }: Case): Promise<Traffic[]> {
  const { lanes, optimizer, schedule, clipNorm, compression } = rig.options;
  const { paramCount, bufferCount, blockElements, weighs } = await shapeOf(rig);
  const shape: StepShape = {
    topology,
    groups,
    cut: { ...cutOf({ topology, lanes, paramCount, workers }), ...(laneBorders && { laneBorders }) },
    lanes,
    paramCount,
    bufferCount,
    slots: slotCount(optimizer),
    counters: counterLength(schedule),
    ...(clipNorm !== undefined && { clipBlock: blockElements }),
    weighs,
    compression,
  };
  const unread = stepTraffic({ ...shape, counters: 0 });
  return stepTraffic(shape).map((step, worker) => {
    const hasRead = step.gets - unread[worker]!.gets;
    const extraBytes = hasRead * (24 + 4 * (bufferCount + 512 + shape.counters!));
    return {
      bytesWritten: STEPS * step.bytesWritten,
      bytesRead: STEPS * step.bytesRead - extraBytes,
      puts: STEPS * step.puts,
      gets: STEPS * step.gets - hasRead,
    };
  });
}
async function shapeOf(rig: Rig) {
  const program = await readProgram(rig.store, rig.programDigest);
  return { ...program, weighs: typeof rig.options.loss === 'object' };
}

describe('what workers move is what the formula says, byte for byte and request for request,', () => {
  let rig: Rig;
  beforeAll(async () => (rig = await Rig.open(jobs)));
  afterAll(() => rig.close());

  it.each(topologies)('for 1 to 16 workers by %s', async (topology) => {
    for (let workers = 1; workers <= LANES; workers++) {
      const round = { workers, topology };
      expect([workers, await counted(rig, `${topology}-${workers}`, round)]).toEqual([workers, await promised(rig, round)]);
    }
  });

  it.each(topologies)('for lanes cut across the tree by %s', async (topology) => {
    for (const laneBorders of [
      [0, 1, 16],
      [0, 3, 5, 16],
      [0, 1, 6, 7, 11, 16],
    ]) {
      const round = { workers: laneBorders.length - 1, laneBorders, topology };
      expect(await counted(rig, `${topology}-across-${round.workers}`, round)).toEqual(await promised(rig, round));
    }
  });

  it('for groups of every size', async () => {
    for (const [workers, groups] of [
      [4, 2],
      [5, 2],
      [7, 3],
      [12, 5],
      [16, 1],
      [16, 2],
      [16, 4],
      [16, 8],
      [16, 15],
      [16, 16],
    ] as const) {
      const round = { workers, groups };
      expect([workers, groups, await counted(rig, `groups-${workers}-${groups}`, round)]).toEqual([workers, groups, await promised(rig, round)]);
    }
  });
});

describe('with norms, mean weights and counters that go round, what workers move', () => {
  it.each<Topology>(topologies)('is what the formula says by %s', async (topology) => {
    const rig = await Rig.open({
      ...jobs,
      clipNorm: 0.3,
      loss: { kind: 'softmax-cross-entropy', classWeights: [0.5, 3, 1, 0], labelSmoothing: 0 },
      optimizer: { kind: 'sgd', learningRate: 0.5, momentum: 0, nesterov: false, weightDecay: 0 },
      schedule: Schedule.parse({ kind: 'reduce-on-plateau', everySteps: 1, patience: 0 }),
    });
    for (const workers of [1, 2, 3, 8, 16]) {
      const round = { workers, topology };
      expect([workers, await counted(rig, `${workers}`, round)]).toEqual([workers, await promised(rig, round)]);
    }
    await rig.close();
  });
});

describe('with partials of two bytes an element, what workers move', () => {
  it.each<Topology>(topologies)('is what the formula says by %s', async (topology) => {
    const rig = await Rig.open({ ...jobs, compression: { kind: 'bf16' } });
    for (const round of [{ workers: 2 }, { workers: 5 }, { workers: 8, groups: 2 }, { workers: 16 }])
      expect([round, await counted(rig, `${round.workers}`, { ...round, topology })]).toEqual([round, await promised(rig, { ...round, topology })]);
    await rig.close();
  });
});

redisServer.describe('over Redis, what workers move', (binary) => {
  it('is what the formula says', async () => {
    const server = await startRedis(binary);
    const rig = await Rig.open({ ...jobs, exchangeUri: server.uri });
    for (const round of [{ workers: 3 }, { workers: 6, groups: 2 }, { workers: 3, topology: 'all-reduce-leader' }] as const)
      expect([round, await counted(rig, `redis-${round.workers}-${Object.keys(round).at(-1)}`, round)]).toEqual([round, await promised(rig, round)]);
    await rig.close();
    await server.stop();
  });
});
