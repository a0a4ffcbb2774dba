import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePython } from '../../platforms/python/environment';

const home = mkdtempSync(join(tmpdir(), 'smlt-python-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A Python that is a shell script: what it answers to `-c`, and what its pip says. */
function fakePython(name: string, answers: string): string {
  const path = join(home, name);
  writeFileSync(path, `#!/bin/sh\n${answers}\n`);
  chmodSync(path, 0o755);
  return path;
}
const model = (fields: object) => ({ python: 'file:///program.py', files: [], ...fields });
const options = (environment: Record<string, string> = {}) => ({ cacheDir: join(home, 'cache'), environment });

describe('the Python of a program', () => {
  it('is the one that the model names, when it runs and has NumPy', async () => {
    const good = fakePython('good', 'case "$2" in *version*) echo 3.12;; *numpy*) exit 0;; esac');
    await expect(ensurePython(model({ interpreter: good }), options())).resolves.toEqual({ interpreter: good, version: '3.12' });
    const bare = fakePython('bare', 'case "$2" in *version*) echo 3.12;; *) exit 1;; esac');
    await expect(ensurePython(model({ interpreter: bare }), options())).rejects.toThrow(/no NumPy/);
  });

  it('is refused by name when it is missing, too old, or nowhere', async () => {
    const message = async (fields: object, environment?: Record<string, string>) =>
      ensurePython(model(fields), options(environment)).then(
        () => 'accepted',
        (error: Error) => error.message,
      );
    expect(await message({ interpreter: join(home, 'nothing') })).toMatch(/model\.interpreter: .*nothing is no Python that runs/);
    expect(await message({ interpreter: fakePython('old', 'echo 3.8') })).toMatch(/is Python 3\.8; expected 3\.10 or newer/);
    expect(await message({}, { PATH: '/nowhere' })).toMatch(/no python3 on the PATH, and SMLT_PYTHON names none/);
  });

  it('is made once for two that want it at the same time', async () => {
    const pip = `#!/bin/sh\necho once >> ${join(home, 'installs')}\nsleep 0.2\n`;
    const venv = `mkdir -p "$3/bin"; printf '${pip.replaceAll('\n', '\\n')}' > "$3/bin/python"; chmod +x "$3/bin/python"`;
    const base = fakePython('slow', `case "$2" in *version*) echo 3.11;; venv) ${venv};; esac`);
    const wanted = () => ensurePython(model({ requirements: ['something'] }), options({ SMLT_PYTHON: base }));
    const [one, other] = await Promise.all([wanted(), wanted()]);
    expect(one).toEqual(other);
    expect(readFileSync(join(home, 'installs'), 'utf8')).toBe('once\n');
    rmSync(join(home, 'cache'), { recursive: true });
  });

  it('leaves nothing behind and says pip’s last words when pip fails', async () => {
    // `-m venv FOLDER` makes a folder whose python is a failing pip.
    const venv =
      'mkdir -p "$3/bin"; printf "#!/bin/sh\\necho ERROR: No matching distribution found for nonsense\\nexit 1\\n" > "$3/bin/python"; chmod +x "$3/bin/python"';
    const base = fakePython('base', `case "$2" in *version*) echo 3.11;; venv) ${venv};; esac`);
    await expect(ensurePython(model({ requirements: ['nonsense'] }), options({ SMLT_PYTHON: base }))).rejects.toThrow(
      /could not install nonsense.*\n.*No matching distribution/s,
    );
    expect(readdirSync(join(home, 'cache', 'python'))).toEqual([]);
  });
});
