import { Command } from 'commander';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import { readSamples } from '../data-sets';
import { readSamplesFile } from '../samples-file';
import { note, print, printJson } from './output';
import { whole } from './whole-number';

interface PredictOptions {
  readonly input?: string;
  readonly data?: string;
  readonly index: number;
  readonly count: number;
  readonly json?: true;
}

/** `smlt predict NAME`: asks the function of a deployed model. */
export function predictCommand(): Command {
  return new Command('predict')
    .description('ask a deployed model')
    .argument('<name>', 'name of the deployed model')
    .option('--input <file>', 'samples: .json or .npy')
    .option('--data <dataset>', 'samples of a data set: its folder or URI')
    .option('--index <i>', 'with --data: the first sample', whole(0, 'an index, 0 or more'), 0)
    .option('--count <n>', 'with --data: how many', whole(1, 'a count, 1 or more'), 1)
    .option('--json', 'print one JSON document')
    .action(async (name: string, options: PredictOptions, command: Command) => {
      if ((options.input === undefined) === (options.data === undefined)) command.error('error: expected either --input FILE or --data DATASET');
      const { inputs, targets } = await samplesOf(options);
      const { predict } = await import('../predict.js');
      const answer = await predict(name, inputs, { endpoint: await endpoint(), roleArn: process.env['SMLT_LAMBDA_ROLE_ARN'] });
      if (options.json) return printJson({ name, ...answer, ...(targets && { targets }) });
      for (const [i, output] of answer.outputs.entries()) {
        const label = answer.classes ? `class ${answer.classes[i]}` : `[${output.map((value) => Number(value.toPrecision(5))).join(', ')}]`;
        const truth = targets?.[i] ? `   (the data set says ${targets[i].join(', ')})` : '';
        print(`${targets ? `sample ${options.index + i}: ` : ''}${label}${truth}`);
      }
      note(`answered by ${name}, version ${answer.version}`);
    });
}

async function samplesOf({ input, data, index, count }: PredictOptions): Promise<{ inputs: number[][]; targets?: number[][] }> {
  if (input !== undefined) return { inputs: await readSamplesFile(input) };
  return readSamples(/^[a-z][a-z0-9+.-]+:/i.test(data!) ? data! : pathToFileURL(resolve(data!)).href, index, count);
}

/** SMLT_LAMBDA_ENDPOINT, or smlt dev's own server, started when it does not run; AWS where SMLT_LAMBDA_ROLE_ARN says so. */
async function endpoint(): Promise<string | undefined> {
  const set = process.env['SMLT_LAMBDA_ENDPOINT'];
  if (set) return set;
  if (process.env['SMLT_LAMBDA_ROLE_ARN']) return undefined;
  const { connect } = await import('../connect.js');
  const smlt = await connect({ log: note, ephemeral: false });
  try {
    return smlt.dev?.lambdaEndpoint;
  } finally {
    await smlt.close();
  }
}
