/**
 * The engine beside a Python function (python/smlt/engine.py starts it): the same handlers as everywhere, with Python as
 * what computes. Its one argument is the file descriptor of the socket to Python.
 */
import { EvaluateRequest, ExportRequest, PredictRequest, PrepareRequest } from '../contracts/functions';
import { evaluateWeights } from './evaluate';
import { exportWeights } from './export-model';
import { handler, type Context } from './handler';
import { predictWith } from './predict';
import { prepareProgram } from './prepare';
import { Channel, type Call } from './python/channel';
import { pythonCompute } from './python/compute';
import { realStores } from './real-world';
import { train, TrainRequest } from './train/entry';
import type { World } from './world';

const channel = new Channel(Number(process.argv[2]), (call) => void answer(call));
const world: World = { ...realStores, compute: pythonCompute(channel) };

const roles: Readonly<Record<string, (event: unknown, context: Context) => Promise<unknown>>> = {
  prepare: handler(PrepareRequest, (request) => prepareProgram(world, request)),
  train: handler(TrainRequest, (request, context) => train(world, request, context)),
  evaluate: handler(EvaluateRequest, (request) => evaluateWeights(world, request)),
  export: handler(ExportRequest, (request) => exportWeights(world, request)),
  predict: handler(PredictRequest, (request) => predictWith(world, process.env, request)),
};

async function answer({ call, event, deadlineAtMs }: Call): Promise<void> {
  try {
    const run = roles[call];
    if (!run) throw new Error(`no function has the role ${call}`);
    channel.send({ answer: await run(event, { getRemainingTimeInMillis: () => deadlineAtMs - Date.now() }) });
  } catch (error) {
    channel.send({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
