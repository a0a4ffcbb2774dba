import { Command, Option } from 'commander';
import { lossNames, type Loss } from '../../contracts/model';
import { inspectModel } from '../../training/import/inspect';
import { EXIT } from './exit-codes';
import { readOnnx } from '../onnx-file';
import { writeGradients } from '../model-gradients';
import { note, print, printJson } from './output';
import { whole } from './whole-number';
import { count, plural, table } from './words';

interface Choice {
  readonly train?: string[];
  readonly freeze?: string[];
}
interface GradientOptions extends Choice {
  readonly batch: string;
  readonly targets?: string;
  readonly loss?: Loss;
  readonly out: string;
  readonly json?: true;
}

/** What a job says as model.train and model.freeze. */
const withChoice = (command: Command): Command =>
  command
    .option('--train <patterns...>', 'only parameters that match train')
    .option('--freeze <patterns...>', 'parameters that match do not train: buffers that the file does not tell from parameters, for one');

/** `smlt model gradients FILE`: one batch's loss and gradients, to compare with another framework's. */
function gradientsCommand(): Command {
  return withChoice(new Command('gradients'))
    .description("one batch's loss and gradients, to compare with your own framework's")
    .argument('<file>', 'ONNX model')
    .requiredOption('--batch <file>', "safetensors with the model's inputs by name, and the targets")
    .option('--targets <name>', "the targets' name in the batch; not needed by a model that outputs its own loss, nor by next-token")
    .addOption(new Option('--loss <loss>', 'the loss of the first output').choices(lossNames.filter((name) => name !== 'program')))
    .requiredOption('--out <file>', 'safetensors to write: loss, grad/<initialiser>, buffer_after/<running statistic>')
    .option('--json', 'print one JSON document')
    .action(async (model: string, { json, ...options }: GradientOptions) => {
      const { out } = options;
      const made = await writeGradients({ targets: undefined, loss: undefined, ...options, model });
      if (json)
        return printJson({
          loss: made.loss,
          gradients: made.gradients.map(({ name, shape }) => ({ name, shape })),
          buffers: made.buffers.map(({ name, shape }) => ({ name, shape })),
          notes: made.notes,
          out,
        });
      for (const text of made.notes) note(`note: ${text}`);
      print(`✓ ${out}: loss ${made.loss}, ${plural(made.gradients.length, 'gradient')}, ${plural(made.buffers.length, 'running statistic')}`);
    });
}

const exportHint = [
  'How to export from PyTorch so that everything trains:',
  '  torch.onnx.export(copy.deepcopy(model).train(), args, "model.onnx", dynamo=False, do_constant_folding=False,',
  '                    training=torch.onnx.TrainingMode.TRAINING, input_names=["x"], dynamic_axes={"x": {0: "N"}})',
  '  or dynamo=True, optimize=False. Do not simplify the file with other tools.',
].join('\n');

/** `smlt model check FILE`: what would train, and what is doubtful about the export. */
function checkCommand(): Command {
  return withChoice(new Command('check'))
    .description('what an ONNX model holds, what of it would train, and what is doubtful about its export')
    .argument('<file>', 'ONNX model')
    .option('--batch-size <n>', 'samples that memory is estimated for', whole(1, 'a count, 1 or more'), 32)
    .option('--json', 'print one JSON document')
    .action(async (file: string, { batchSize, json, ...choice }: Choice & { batchSize: number; json?: true }) => {
      const { problem, ...found } = inspectModel(await readOnnx(file), batchSize, choice);
      if (problem) process.exitCode = EXIT.badInput;
      if (json) {
        const error = problem && { code: problem.code, message: problem.message, help: problem.help };
        return printJson({ trainable: !problem, batchSize, ...found, ...(error && { error }) });
      }
      const shape = (axes: readonly (number | string)[]) => `[${axes.join(', ')}]`;
      print(`${file}: operator set ${found.opset}${found.producer && `, by ${found.producer}`}`);
      for (const input of found.inputs) print(`  input ${input.name}: ${input.type} ${shape(input.shape)}`);
      print(`  outputs ${found.outputs.join(', ')}`);
      print(`  operators ${Object.entries(found.operators).map(([op, uses]) => `${op} ${uses}`).join(', ')}\n`); // prettier-ignore
      const listed = found.initializers.filter(({ role }) => role !== 'constant');
      if (listed.length > 0) print(table(listed.map((each) => [each.name, shape(each.shape), count(each.elements), each.role === 'parameter' ? 'trains' : each.role]))); // prettier-ignore
      const trained = listed.filter(({ role }) => role === 'parameter');
      print(
        `\n${plural(trained.length, 'parameter')} with ${plural(found.trainedElements, 'element')} would train: compare with your framework's own count`,
      );
      if (found.peakMemoryMib !== undefined) print(`about ${found.peakMemoryMib} MiB of tensors at ${plural(batchSize, 'sample')} a micro-batch`);
      for (const doubt of found.doubts) print(`? ${doubt}`);
      if (found.doubts.length > 0) print(exportHint);
      if (problem) note(`${problem.code}: ${problem.message}\n${problem.help}`);
    });
}

export function modelCommand(): Command {
  return new Command('model').description('work with ONNX models').addCommand(checkCommand()).addCommand(gradientsCommand());
}
