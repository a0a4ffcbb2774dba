import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { names } from '../../contracts/names';
import { readJson } from '../store-records';
import { print, printJson } from './output';
import { openHomeStore } from './open-store';

const FILES = ['model.onnx', 'model.safetensors', 'model-card.json'] as const;
const Deployment = z.object({ version: z.string() });

/** `smlt pull NAME`: a deployed model as plain files, for ONNX Runtime and other tools. Needs no Temporal server. */
export function pullCommand(): Command {
  return new Command('pull')
    .description('write a deployed model as plain files')
    .argument('<name>', 'name of the deployed model')
    .option('--version <v>', 'left out: the live version')
    .option('--to <folder>', 'left out: a folder named after the model')
    .option('--json', 'print one JSON document')
    .action(async (name: string, { version: wanted, to, json }: { version?: string; to?: string; json?: true }) => {
      const store = await openHomeStore();
      const live = await readJson(store, Deployment, names.model(name, 'live', 'deployment.json'));
      const version = wanted ?? live?.version;
      if (version === undefined) throw new SmltError('NotDeployed', `no model ${name} is deployed in ${store.uri}`);
      const folder = resolve(to ?? name);
      // All read before anything is written: a version that is not there leaves no half folder.
      const contents = await Promise.all(FILES.map((file) => store.get(names.model(name, version, file))));
      mkdirSync(folder, { recursive: true });
      const paths = FILES.map((file, i) => {
        const path = join(folder, file);
        writeFileSync(path, contents[i]!);
        return path;
      });
      if (json) return printJson({ name, version, files: paths });
      for (const path of paths) print(path);
    });
}
