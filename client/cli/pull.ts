import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { names } from '../../contracts/names';
import { readJson } from '../store-records';
import { print, printJson } from './output';
import { openHomeStore } from './open-store';

const Deployment = z.object({ version: z.string() });

/** `smlt pull NAME`: a deployed model as plain files, for ONNX Runtime and other tools, or a Python program with its weights. Needs no Temporal server. */
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
      const prefix = names.model(name, version, '');
      const files = (await store.list(prefix)).map((found) => found.slice(prefix.length)).sort();
      if (files.length === 0) throw new SmltError('NotDeployed', `${store.uri} has no version ${version} of model ${name}`);
      // All read before anything is written: a version that is not there leaves no half folder.
      const contents = await Promise.all(files.map((file) => store.get(names.model(name, version, file))));
      mkdirSync(folder, { recursive: true });
      const paths = files.map((file, i) => {
        const path = join(folder, file);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, contents[i]!);
        return path;
      });
      if (json) return printJson({ name, version, files: paths });
      for (const path of paths) print(path);
    });
}
