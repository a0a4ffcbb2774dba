import { sleep } from '@temporalio/workflow';
import type { ExportAnswer } from '../contracts/functions';
import { addBills } from '../contracts/money';
import { DeployInput, type DeployResult } from '../contracts/pipeline';
import { checkModel, exportModel, keepDeployment, publishModel, shiftTraffic } from './activities';
import { judgingSplit } from './evaluation';
import { parseInput, refusal } from './refusal';
import { openStage } from './stage';

const CANARY_WEIGHT = 0.1;
const MAX_CRASHES = 3;

/** Exports the model, publishes it without traffic, checks it with real samples, and shifts traffic by steps, or rolls back. */
export async function deploy(raw: unknown): Promise<DeployResult> {
  const input = parseInput(DeployInput, raw, 'deploy');
  const { job, weights } = input;
  const stage = await openStage(input);
  const python = stage.program.python && { python: stage.program.python };
  let bill = stage.bill;
  for (let crashes = 0; ;) {
    const exported = await exportModel({
      job,
      programDigest: stage.program.programDigest,
      weights,
      card: { metrics: input.metrics, dataSha256: stage.program.dataSha256 },
      ...python,
    });
    bill = addBills(bill, exported.bill);
    if (exported.kind === 'answered') return publish(exported.answer);
    if (exported.kind === 'failed') throw refusal(exported.error.code, exported.error.message, bill);
    if (exported.kind !== 'crashed' || ++crashes >= MAX_CRASHES)
      throw refusal('FunctionFailed', `exporting the model ended as ${exported.kind}`, bill);
    await sleep(100 * 2 ** crashes);
  }

  async function publish({ version, weightsSha256, file }: ExportAnswer): Promise<DeployResult> {
    const name = job.deploy?.name ?? job.name;
    const { functionName, lambdaVersion, before } = await publishModel({ name, version, ...python });
    const dataUri = job.data[judgingSplit(job)]!;
    const target = { name, lambdaVersion, weights, split: judgingSplit(job), dataUri };
    const replaces = before !== null && before !== lambdaVersion;
    const checked = await checkModel(target);
    bill = addBills(bill, checked.bill);
    // Checked before any traffic: the old version, if there is one, still serves all of it.
    if (!checked.passed)
      return {
        outcome: 'failed',
        reason: `the new version failed its check and got no traffic: ${checked.reason}`,
        version,
        functionName,
        weightsSha256,
        bill,
      };
    if (replaces) {
      await shiftTraffic({ name, lambdaVersion, weight: CANARY_WEIGHT });
      const canary = await checkModel(target);
      bill = addBills(bill, canary.bill);
      if (!canary.passed) {
        await shiftTraffic({ name, lambdaVersion: before, weight: 1 });
        return { outcome: 'failed', reason: `rolled back to version ${before}: ${canary.reason}`, version, functionName, weightsSha256, bill };
      }
    }
    await shiftTraffic({ name, lambdaVersion, weight: 1 });
    const modelUri = await keepDeployment({ name, version, ...(file !== undefined && { file }), functionName, run: stage.run });
    return { outcome: 'completed', reason: checked.reason, version, modelUri, functionName, weightsSha256, bill };
  }
}
