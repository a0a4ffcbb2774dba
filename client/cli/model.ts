import { Command, Option } from 'commander';
import { lossNames, type Loss } from '../../contracts/model';
import { writeGradients } from '../model-gradients';
import { note, print, printJson } from './output';
import { plural } from './words';

interface GradientOptions {
  readonly batch: string;
  readonly targets?: string;
  readonly loss?: Loss;
  readonly out: string;
  readonly json?: true;
}

/** `smlt model gradients FILE`: one batch's loss and gradients, to compare with another framework's. */
function gradientsCommand(): Command {
  return new Command('gradients')
    .description("one batch's loss and gradients, to compare with your own framework's")
    .argument('<file>', 'ONNX model')
    .requiredOption('--batch <file>', "safetensors with the model's inputs by name, and the targets")
    .option('--targets <name>', "the targets' name in the batch; not needed by a model that outputs its own loss")
    .addOption(new Option('--loss <loss>', 'the loss of the first output').choices(lossNames.filter((name) => name !== 'program')))
    .requiredOption('--out <file>', 'safetensors to write: loss, grad/<initialiser>, buffer_after/<running statistic>')
    .option('--json', 'print one JSON document')
    .action(async (model: string, { batch, targets, loss, out, json }: GradientOptions) => {
      const made = await writeGradients({ model, batch, targets, loss, out });
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

export function modelCommand(): Command {
  return new Command('model').description('work with ONNX models').addCommand(gradientsCommand());
}
