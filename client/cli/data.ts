import { Command, Option } from 'commander';
import { packFiles, type PackOptions } from '../data-pack';
import { print, printJson } from './output';
import { whole } from './whole-number';
import { count, plural } from './words';

interface DataOptions extends PackOptions {
  readonly features: string;
  readonly targets: string;
  readonly json?: true;
}

/** `smlt data pack FOLDER`: makes a data set: shuffled once, cut into shards, with a manifest that says what is in it. */
export function dataCommand(): Command {
  const pack = new Command('pack')
    .description('make a data set from .npy files or safetensors')
    .argument('<folder>', 'where the data set is to be')
    .requiredOption('--features <file>', 'array [samples, ...]: x.npy, or file.safetensors:tensor; several, by name: file.safetensors:a,b')
    .requiredOption('--targets <file>', 'labels [samples] or values [samples, width]: y.npy, or file.safetensors:tensor')
    .addOption(
      new Option('--kind <kind>', 'class labels or values (default: labels where the targets are whole numbers)').choices(['class', 'values']),
    )
    .option('--classes <n>', 'number of classes (default: the largest label and one)', whole(2, 'a number of classes, 2 or more'))
    .option('--seed <n>', 'seed of the shuffle', whole(0, 'a whole number, 0 or more'), 1)
    .option('--samples-per-shard <n>', 'samples in one file', whole(1, 'a count, 1 or more'), 4_096)
    .option('--json', 'print one JSON document')
    .action(async (folder: string, { features, targets, json, ...options }: DataOptions) => {
      const manifest = await packFiles(features, targets, folder, options);
      if (json) return printJson(manifest);
      const { samples, featureShape, target, shards, sha256 } = manifest;
      print(`✓ ${folder}: ${count(samples)} samples of [${featureShape.join(', ')}], ${target.kind === 'class' ? plural(target.classes, 'class').replace(/classs$/, 'classes') : `values of width ${target.width}`}, ${plural(shards.length, 'shard')}`); // prettier-ignore
      print(`  sha256 ${sha256}`);
    });
  return new Command('data').description('work with data sets').addCommand(pack);
}
