/** The serverless functions by role: what a platform's package exports. */
import { EvaluateRequest, ExportRequest, PredictRequest, PrepareRequest } from '../contracts/functions';
import { evaluateWeights } from './evaluate';
import { exportWeights } from './export-model';
import { handler } from './handler';
import { predictWith } from './predict';
import { prepareProgram } from './prepare';
import { onnxCompute } from './onnx-compute';
import { realStores } from './real-world';
import { train as trainOrProbe, TrainRequest } from './train/entry';
import type { World } from './world';

const realWorld: World = { ...realStores, compute: onnxCompute };

export const prepare = handler(PrepareRequest, (request) => prepareProgram(realWorld, request));
export const train = handler(TrainRequest, (request, context) => trainOrProbe(realWorld, request, context));
export const evaluate = handler(EvaluateRequest, (request) => evaluateWeights(realWorld, request));
export const exportModel = handler(ExportRequest, (request) => exportWeights(realWorld, request));
export const predict = handler(PredictRequest, (request) => predictWith(realWorld, process.env, request));
export { exportModel as export };
