import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CreateFunctionCommand, InvokeCommand } from '@aws-sdk/client-lambda';
import { zipSync } from 'fflate';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { PrepareAnswer } from '../../contracts/functions';
import { openLambdaClient } from '../../platforms';
import { writeQuarters } from '../support/data';
import { startEngine, type Engine } from '../support/engine';
import { frameworksPython, pythonModel } from '../support/frameworks';

jest.setTimeout(200_000);

const built = join(__dirname, '..', '..', 'dist', 'python');
const files = Object.fromEntries(
  readdirSync(built, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(built, path)).isFile())
    .map((path) => [path, readFileSync(join(built, path))]),
);

describe('the handlers under awslambdaric, the runtime client of container images', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  it('answer over the real Runtime API as under the embedded runtime', async () => {
    const bootstrap = `#!/bin/sh\nexport PYTHONPATH="$LAMBDA_TASK_ROOT" PYTHONHASHSEED=0\nexec "${frameworksPython}" -m awslambdaric "$_HANDLER"\n`;
    const client = openLambdaClient({ endpoint: engine.lambdaEndpoint });
    const answers = [];
    for (const [name, runtime] of [
      ['image', 'provided.al2023'],
      ['embedded', 'python3.11'],
    ] as const) {
      await client.send(
        new CreateFunctionCommand({
          FunctionName: name,
          Runtime: runtime,
          Handler: 'smlt.functions.prepare',
          Role: 'arn:aws:iam::000000000000:role/test',
          MemorySize: 1_769,
          Timeout: 60,
          Code: { ZipFile: zipSync({ ...files, bootstrap: Buffer.from(bootstrap) }) },
          Environment: { Variables: { SMLT_PYTHON: frameworksPython } },
        }),
      );
      const request = {
        storeUri: pathToFileURL(join(engine.home, `store-${name}`)).href,
        model: {
          ...pythonModel(engine.home, 'plain', 'from torch import nn\ndef model():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))\n'),
          files: [],
        },
        loss: 'softmax-cross-entropy',
        dataUri: writeQuarters(join(engine.home, 'data', name), 64, 1),
        seed: 3,
        laneBatches: [8],
      };
      const { Payload, FunctionError } = await client.send(new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(request) }));
      const text = Buffer.from(Payload ?? []).toString();
      expect(`${FunctionError ?? 'returned'} ${text}`).toMatch(/^returned \{"programDigest"/);
      const { programDigest, paramCount, samples } = PrepareAnswer.parse(JSON.parse(text));
      answers.push({ programDigest, paramCount, samples });
    }
    expect(answers[0]).toEqual({ programDigest: answers[1]!.programDigest, paramCount: 260, samples: 64 });
  });
});
