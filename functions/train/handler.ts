import { SmltError } from '../../contracts/errors';
import { names } from '../../contracts/names';
import { RoundPlan, type Assignment, type TrainAnswer } from '../../contracts/round';
import { lossWindowStart } from '../../contracts/step-names';
import type { ObjectStore } from '../../storage/object-store';
import { jsonOf } from '../bytes';
import { DataSet } from '../data-set';
import { passing } from '../fault-points';
import type { Context } from '../handler';
import { Lru } from '../lru';
import { readProgram } from '../program';
import { readExtra } from '../weights';
import type { World } from '../world';
import { awaitDurable, keepCheckpoint, warmForNextRound } from './checkpoint';
import { countedStore } from './counted-store';
import { laneSpan, openSessions } from './gradients';
import { Layout, makersOf } from './layout';
import { resolve } from './resolve';
import { Steps } from './step';
import { Sweep } from './sweep';
import { Meter } from './telemetry';
import { Detour, Turn } from './turn';
import { returnWorkspace, takeWorkspace, type Workspace } from './workspace';

const plans = new Lru<RoundPlan>(16);
const dataSets = new Lru<DataSet>(8);

/** An answer without the telemetry that every answer carries. */
type Outcome = TrainAnswer extends infer Answer ? (Answer extends TrainAnswer ? Omit<Answer, 'telemetry'> : never) : never;

/** One worker's turn in a round (docs/architecture.md): from wherever the round is to its end, or as far as this instance may go. */
export async function trainRound(world: World, assignment: Assignment, context: Context): Promise<TrainAnswer> {
  const meter = new Meter();
  let workspace: Workspace | undefined;
  try {
    meter.enter('init');
    const store = countedStore(await world.store(assignment.storeUri));
    const plan = await readPlan(store, assignment);
    const [program, exchange] = [await readProgram(store, plan.recipeBody.programDigest), await world.exchange(plan.exchangeUri)];
    const layout = new Layout(plan, program, assignment.worker);
    const { bytesWritten, bytesRead, requests } = exchange.traffic;
    const taken = takeWorkspace(world.compute, store, program);
    workspace = taken.workspace;
    await openSessions(layout, workspace);
    const data = await openData(world, plan);
    const samples = await data.load([laneSpan(data.manifest.samples, plan.recipeBody.lanes, layout.lanes)]);
    const hostClass = await world.compute.cpuClass();
    const turn = new Turn(layout, exchange, store, workspace, samples, meter, context, assignment);
    meter.enter('other');

    const outcome = await roundOf(turn, data.manifest.samples);
    await passing('beforeResponse', plan.last);
    const telemetry = meter.read({
      bytesWritten: exchange.traffic.bytesWritten - bytesWritten,
      bytesRead: exchange.traffic.bytesRead - bytesRead,
      requests: exchange.traffic.requests - requests,
      storeRequests: store.requests,
      adopted: turn.adopted,
      cpuClass: hostClass,
      peakRssMib: world.compute.peakRssMib(),
      cold: taken.cold,
    });
    returnWorkspace(workspace);
    return { ...outcome, telemetry } as TrainAnswer;
  } catch (error) {
    await workspace?.close();
    throw error;
  }
}

/** Resolves, and goes on from there, until something ends the turn. */
async function roundOf(turn: Turn, dataSamples: number): Promise<Outcome> {
  const steps = new Steps(turn, dataSamples);
  const sweep = new Sweep(turn);
  for (;;) {
    try {
      const outcome = await goOn(turn, steps, sweep);
      await steps.close();
      return outcome;
    } catch (detour) {
      await steps.abandon();
      // The stores have tried again for as long as they may: the slot is worth more to others.
      if (detour instanceof SmltError && detour.code === 'StoreUnavailable')
        return { kind: 'waiting', step: turn.furthest, missing: [detour.message.slice(0, 300)], missingCount: 1, slow: [] };
      if (!(detour instanceof Detour)) throw detour;
      const { to } = detour;
      switch (to.kind) {
        case 'resolve':
          break;
        case 'superseded':
          return { kind: 'superseded' };
        case 'spent':
          return { kind: 'spent', step: turn.furthest };
        case 'waiting':
          return {
            kind: 'waiting',
            step: to.step,
            missing: to.missing.slice(0, 3),
            missingCount: to.missing.length,
            slow: makersOf(turn.layout, to.step, to.missing.slice(0, 3)),
          };
      }
    }
  }
}

async function goOn(turn: Turn, steps: Steps, sweep: Sweep): Promise<Outcome> {
  const { plan, meter } = turn;
  const where = await resolve(turn, (step) => steps.recall(step));
  if (where.kind === 'done') return done(turn);
  const computes = where.step < plan.last;
  for (let { step } = where; step < plan.last; step++) {
    // The first step is always tried: without it a short limit would mean no progress at all.
    const isSpent = turn.isSpent('step');
    if (meter.steps > 0 && (isSpent || turn.nearLimit('step'))) {
      await steps.leaveBehind(step, 'now');
      return { kind: isSpent ? 'spent' : 'reached', step };
    }
    await turn.lookForEnd();
    const startedAtMs = performance.now();
    await steps.run(step);
    turn.reachedStep(step + 1);
    if (step + 1 < plan.last) {
      await steps.readParams(step + 1);
      if (!turn.layout.alone || (await steps.leaveBehind(step + 1, 'nowAndThen'))) await sweep.below(step + 1);
    }
    meter.stepDone(performance.now() - startedAtMs);
  }
  await passing('beforeCheckpoint', plan.last);
  await keepCheckpoint(turn);
  await awaitDurable(turn, computes);
  await warmForNextRound(turn);
  await sweep.below(plan.last);
  return done(turn);
}

/** The loss of the newest step, from the one who owns it. */
async function done({ layout, store, plan }: Turn): Promise<Outcome> {
  if (!layout.ownsExtra) return { kind: 'done', step: plan.last, loss: null };
  const extra = new Float32Array(layout.extraLength);
  await readExtra(store, layout.program, { kind: 'stored', ...layout.id, step: plan.last, rangeBorders: plan.cut.rangeBorders }, extra);
  const loss = extra[layout.program.bufferCount + plan.last - 1 - lossWindowStart(plan.last)]!;
  return { kind: 'done', step: plan.last, loss: Number.isFinite(loss) ? loss : null };
}

/** A plan is decided once and never changes: known by its full name. */
async function readPlan(store: ObjectStore, assignment: Assignment): Promise<RoundPlan> {
  const name = names.plan(assignment, assignment.round);
  const plan = await plans.remember(`${store.uri} ${name}`, async () => {
    const parsed = RoundPlan.safeParse(jsonOf(await store.get(name)));
    if (!parsed.success) throw new SmltError('VersionSkew', `${name} was written by another version of smlt: ${parsed.error.message}`);
    return parsed.data;
  });
  if (assignment.worker < 0 || assignment.worker >= plan.cut.laneBorders.length - 1)
    throw new SmltError('InvalidSpec', `worker ${assignment.worker} of ${name}: expected 0 to ${plan.cut.laneBorders.length - 2}`);
  return plan;
}

async function openData(world: World, { dataUri, recipeBody }: RoundPlan): Promise<DataSet> {
  return dataSets.remember(`${dataUri} ${recipeBody.dataSha256}`, async () => {
    const data = await DataSet.open(world, dataUri);
    if (data.manifest.sha256 !== recipeBody.dataSha256)
      throw new SmltError(
        'BadData',
        `${dataUri}: the run was started with data ${recipeBody.dataSha256.slice(0, 12)}..., and the data set there is ${data.manifest.sha256.slice(0, 12)}...; restore it, or start another run`,
      );
    return data;
  });
}
