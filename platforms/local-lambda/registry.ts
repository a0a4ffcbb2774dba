import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { SmltError } from '../../contracts/errors';
import { conflict, invalidParameter, notFound } from './api-error';
import { functionArn, type FunctionTarget } from './function-name';

/** One version's settings: all that decides which instances can serve it. */
const Version = z.object({
  version: z.string(),
  description: z.string(),
  runtime: z.string(),
  role: z.string(),
  handler: z.string(),
  timeoutS: z.int(),
  memoryMib: z.int(),
  environment: z.record(z.string(), z.string()),
  architecture: z.string(),
  codeSha256: z.string(),
  codeBytes: z.int(),
  lastModified: z.string(),
  revisionId: z.string(),
});
export type FunctionVersion = z.output<typeof Version>;
export type FunctionSettings = Omit<FunctionVersion, 'version' | 'lastModified' | 'revisionId'>;

const Alias = z.object({
  name: z.string(),
  description: z.string(),
  version: z.string(),
  /** Further version -> share of the calls that it gets. */
  weights: z.record(z.string(), z.number()),
  revisionId: z.string(),
});
export type FunctionAlias = z.output<typeof Alias>;

const StoredFunction = z.object({
  name: z.string(),
  latest: Version,
  published: z.array(Version),
  nextVersion: z.int(),
  aliases: z.record(z.string(), Alias),
  reservedConcurrency: z.int().optional(),
});
export type StoredFunction = z.output<typeof StoredFunction>;
const StoredRegistry = z.object({ formatVersion: z.literal(1), functions: z.array(StoredFunction) });

/** Functions, their versions and aliases. Every change is on disk before it is answered. */
export class Registry {
  private readonly functions = new Map<string, StoredFunction>();

  constructor(private readonly path: string) {
    mkdirSync(dirname(path), { recursive: true });
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    try {
      for (const stored of StoredRegistry.parse(JSON.parse(text)).functions) this.functions.set(stored.name, stored);
    } catch (cause) {
      throw new SmltError(
        'ObjectCorrupt',
        `${path} is not a function registry that this version can read; remove it, and functions are created anew`,
        {
          cause,
        },
      );
    }
  }

  list(): StoredFunction[] {
    return [...this.functions.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): StoredFunction {
    const found = this.functions.get(name);
    if (!found) throw notFound(`Function not found: ${functionArn(name)}`);
    return found;
  }

  create(name: string, settings: FunctionSettings): FunctionVersion {
    if (this.functions.has(name)) throw conflict(`Function already exist: ${name}`);
    const latest = stamped(settings, '$LATEST');
    this.functions.set(name, { name, latest, published: [], nextVersion: 1, aliases: {} });
    this.save();
    return latest;
  }

  update(name: string, change: Partial<FunctionSettings>): FunctionVersion {
    const found = this.get(name);
    found.latest = stamped({ ...found.latest, ...change }, '$LATEST');
    this.save();
    return found.latest;
  }

  delete({ name, qualifier }: FunctionTarget): void {
    const found = this.get(name);
    if (qualifier === undefined) this.functions.delete(name);
    else {
      if (qualifier === '$LATEST') throw invalidParameter('$LATEST version cannot be deleted without deleting the function.');
      this.version(found, qualifier);
      const user = Object.values(found.aliases).find((alias) => alias.version === qualifier || qualifier in alias.weights);
      if (user) throw conflict(`Version ${qualifier} is used by the alias ${user.name}`);
      found.published = found.published.filter(({ version }) => version !== qualifier);
    }
    this.save();
  }

  /** As on AWS, publishing what was published last answers the version there is. */
  publish(name: string, description: string | undefined, codeSha256: string | undefined): FunctionVersion {
    const found = this.get(name);
    if (codeSha256 !== undefined && codeSha256 !== Buffer.from(found.latest.codeSha256, 'hex').toString('base64')) {
      throw invalidParameter(`CodeSHA256 (${codeSha256}) is different from current CodeSHA256 in $LATEST`);
    }
    const last = found.published.at(-1);
    if (last && sameSettings(last, found.latest)) return last;
    const version = stamped({ ...found.latest, ...(description === undefined ? {} : { description }) }, String(found.nextVersion));
    found.published.push(version);
    found.nextVersion += 1;
    this.save();
    return version;
  }

  version(found: StoredFunction, qualifier: string): FunctionVersion {
    const version = qualifier === '$LATEST' ? found.latest : found.published.find((candidate) => candidate.version === qualifier);
    if (!version) throw notFound(`Function not found: ${functionArn(found.name, qualifier)}`);
    return version;
  }

  alias(found: StoredFunction, name: string): FunctionAlias {
    const alias = found.aliases[name];
    if (!alias) throw notFound(`Cannot find alias arn: ${functionArn(found.name, name)}`);
    return alias;
  }

  /** Which version a call of this target runs. `draw` in [0, 1) decides between an alias's two versions. */
  resolve({ name, qualifier = '$LATEST' }: FunctionTarget, draw = 1): FunctionVersion {
    const found = this.get(name);
    const alias = found.aliases[qualifier];
    if (!alias) return this.version(found, qualifier);
    let passed = 0;
    for (const [version, weight] of Object.entries(alias.weights)) {
      passed += weight;
      if (draw < passed) return this.version(found, version);
    }
    return this.version(found, alias.version);
  }

  setAlias(name: string, alias: Omit<FunctionAlias, 'revisionId'>, mode: 'create' | 'update'): FunctionAlias {
    const found = this.get(name);
    if (mode === 'create' && found.aliases[alias.name]) throw conflict(`Alias already exists: ${functionArn(name, alias.name)}`);
    if (mode === 'update') this.alias(found, alias.name);
    this.version(found, alias.version);
    const weighted = Object.entries(alias.weights);
    if (weighted.length > 1) throw invalidParameter('Number of items in AdditionalVersionWeights cannot be greater than 1');
    for (const [version, weight] of weighted) {
      this.version(found, version);
      if (version === '$LATEST' || alias.version === '$LATEST')
        throw invalidParameter('$LATEST is not supported for an alias pointing to more than 1 version');
      if (version === alias.version) throw invalidParameter('Version and AdditionalVersionWeights can not point to the same version');
      if (!(weight >= 0 && weight <= 1)) throw invalidParameter(`The weight of version ${version} is ${weight}; expected a number from 0 to 1`);
    }
    const stored = { ...alias, revisionId: randomUUID() };
    found.aliases[alias.name] = stored;
    this.save();
    return stored;
  }

  deleteAlias(name: string, alias: string): void {
    const found = this.get(name);
    delete found.aliases[alias]; // deleting an alias that is not there succeeds, as on AWS
    this.save();
  }

  reserve(name: string, concurrency: number | undefined): void {
    const found = this.get(name);
    if (concurrency === undefined) delete found.reservedConcurrency;
    else found.reservedConcurrency = concurrency;
    this.save();
  }

  usedCode(): Set<string> {
    return new Set(this.list().flatMap(({ latest, published }) => [latest, ...published].map(({ codeSha256 }) => codeSha256)));
  }

  private save(): void {
    const aside = `${this.path}.tmp`;
    const file = openSync(aside, 'w');
    try {
      writeSync(file, JSON.stringify({ formatVersion: 1, functions: this.list() }));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(aside, this.path);
  }
}

function stamped(settings: FunctionSettings, version: string): FunctionVersion {
  return { ...settings, version, lastModified: new Date().toISOString().replace('Z', '+0000'), revisionId: randomUUID() };
}

function sameSettings(a: FunctionVersion, b: FunctionVersion): boolean {
  const essence = ({ runtime, role, handler, timeoutS, memoryMib, environment, architecture, codeSha256 }: FunctionVersion): string =>
    JSON.stringify([runtime, role, handler, timeoutS, memoryMib, Object.entries(environment).sort(), architecture, codeSha256]);
  return essence(a) === essence(b);
}
