import { existsSync, readdirSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SmltProcesses } from './smlt-process';

jest.setTimeout(60_000);
const smlt = new SmltProcesses();
const job = join(smlt.home, 'demo', 'job.json');
beforeAll(async () => {
  expect(await smlt.run(['init', join(smlt.home, 'demo')])).toMatchObject({ code: 0 });
});
afterAll(() => smlt.close());

/** The job with changes, in a file of its own beside its data. */
function jobWith(changes: object): string {
  const path = join(smlt.home, 'demo', 'changed.json');
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(job, 'utf8')) as object), ...changes }));
  return path;
}

describe('the command line', () => {
  it('writes a job that passes its own check', async () => {
    const { code, stdout } = await smlt.run(['check', job, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ valid: true, steps: 625, samples: { train: 2_000, validation: 400, test: 400 } });
  });

  it('refuses a bad job with exit code 2 before it starts anything', async () => {
    const { code, stderr, stdout } = await smlt.run(['run', jobWith({ loss: 'cross-entropy' })]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/InvalidSpec: [^]*softmax-cross-entropy[^]*loss/);
    expect(readdirSync(smlt.home)).toEqual(['demo']);
  });

  it('prints one JSON document for an error, too', async () => {
    const { code, stdout } = await smlt.run(['run', jobWith({ goal: { budgetUsd: -1 } }), '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'InvalidSpec', message: expect.stringMatching(/goal\.budgetUsd/) } });
  });

  it.each([
    [['frobnicate'], /unknown command/],
    [['run'], /missing required argument/],
    [['run', 'job.json', '--budget', 'much'], /expected US dollars/],
    [['run', 'job.json', '--run-id', '../../etc'], /InvalidName/],
    [['run', 'nothing.json'], /there is no such file/],
    [['predict', 'moons'], /--input FILE or --data/],
    [['status', 'nobody'], /no run nobody/],
    [['set-goal', 'nobody'], /nothing to change/],
    [['dev', '--port', '99999'], /a port from 1 to 65535/],
  ])('answers %j with exit code 2 and words', async (args, words) => {
    const { code, stderr } = await smlt.run(args);
    expect(stderr).toMatch(words);
    expect(code).toBe(2);
  });

  it('lists nothing, stops nothing and says so when nothing was ever started', async () => {
    expect((await smlt.run(['list', '--json'])).stdout.trim()).toBe('[]');
    expect(await smlt.run(['dev', 'stop'])).toMatchObject({ code: 0, stdout: 'smlt dev was not running\n' });
    const { code, stderr } = await smlt.run(['stop', 'nobody']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/smlt dev is not running/);
    expect(existsSync(join(smlt.home, 'dev.json'))).toBe(false);
  });

  it('ends in silence when nobody reads on', async () => {
    const { child, finished } = smlt.start(['--help']);
    child.stdout.destroy();
    expect(await finished).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(['stop', 'set-goal'])('refuses to %s with one JSON document, too', async (command) => {
    const { stdout } = await smlt.run([command, 'nobody', ...(command === 'set-goal' ? ['--budget', '1'] : []), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'TemporalUnavailable' } });
  });

  it('names the server that does not answer and where its address came from', async () => {
    const { code, stderr } = await smlt.run(['run', job], { TEMPORAL_ADDRESS: '127.0.0.1:9' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/no Temporal server answers at 127\.0\.0\.1:9 \(from TEMPORAL_ADDRESS\)/);
  });
});
