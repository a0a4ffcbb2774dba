import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseJob } from '../../contracts/job';
import { frontierSvg } from '../../client/plan/frontier-svg';
import { planJob, type JobPlan } from '../../client/plan/plan-job';
import { writeQuarters } from '../support/data';
import { SmltProcesses } from './smlt-process';

jest.setTimeout(90_000);

describe('smlt plan', () => {
  let smlt: SmltProcesses;
  let folder: string;
  let dataUri: string;
  beforeAll(() => {
    smlt = new SmltProcesses();
    folder = mkdtempSync(join(tmpdir(), 'smlt-plan-'));
    dataUri = writeQuarters(join(folder, 'train'), 512, 1);
  });
  afterAll(async () => {
    await smlt.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const job = (goal: object, layers: unknown[] = ['flatten', { dense: 16 }, 'relu', { dense: 4 }], synchronization = {}) =>
    parseJob({
      name: 'quarters',
      data: { train: dataUri },
      model: { layers },
      loss: 'softmax-cross-entropy',
      training: { steps: 5_000, batchSize: 64, lanes: 16, seed: 3, optimizer: { kind: 'adam', learningRate: 0.01 } },
      goal,
      synchronization,
    });
  const plan = (goal: object, layers?: unknown[]) => planJob(job(goal, layers), 'aws', () => undefined);

  it('lists allocations of which none beats another in both time and cost', async () => {
    const { frontier } = await plan({ budgetUsd: 1 });
    expect(frontier.length).toBeGreaterThan(1);
    for (const [i, { prediction }] of frontier.entries()) {
      const before = frontier[i - 1]?.prediction;
      if (!before) continue;
      expect(prediction.remainingMs.p50).toBeGreaterThanOrEqual(before.remainingMs.p50);
      expect(prediction.remainingNanoUsd.p50).toBeLessThan(before.remainingNanoUsd.p50);
    }
  });

  it('expects a larger model to take longer and to cost more', async () => {
    const [small, large] = [await plan({ budgetUsd: 1 }), await plan({ budgetUsd: 1 }, ['flatten', { dense: 2_048 }, 'relu', { dense: 2_048 }, 'relu', { dense: 4 }])]; // prettier-ignore
    expect(large.frontier[0]!.prediction.stepMs).toBeGreaterThan(2 * small.frontier[0]!.prediction.stepMs);
    expect(large.frontier.at(-1)!.prediction.remainingNanoUsd.p50).toBeGreaterThan(2 * small.frontier.at(-1)!.prediction.remainingNanoUsd.p50);
  });

  it('weighs lossy methods that the job allows: which, why, and what each would take', async () => {
    const layers = ['flatten', { dense: 4_096 }, 'relu', { dense: 4_096 }, 'relu', { dense: 4 }];
    const planOf = (allow?: string[]) => {
      const asked = job({ minimize: 'time' }, layers, { allow, exchanges: ['redis'] });
      return planJob({ ...asked, allocation: { minWorkers: 8, maxWorkers: 16 } }, 'aws', () => undefined);
    };
    const planned = await planOf(['bf16']);
    expect(planned.method).toMatchObject({
      method: { kind: 'bf16' },
      reason: expect.stringMatching(/^Gradients in bf16: .* less and .* to the end\.$/),
    });
    const without = await planOf();
    expect(without.method).toBeNull();
    expect(planned.frontier[0]!.prediction.remainingMs.p50).toBeLessThan(0.9 * without.frontier[0]!.prediction.remainingMs.p50);
    const svg = frontierSvg(planned);
    expect(svg).toMatch(/class="label best"[^>]*>[^<]*, bf16</);
  });

  it('draws every allocation of the frontier, and marks the choice', async () => {
    const planned = await plan({ budgetUsd: 1, deadline: '10m' });
    const svg = frontierSvg(planned);
    expect(svg.match(/<circle/g)).toHaveLength(planned.frontier.length);
    expect(svg.match(/class="chosen"/g)).toHaveLength(1);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('draws limits that are near, and names those that are far away', async () => {
    const planned = await plan({ budgetUsd: 1_000, deadline: '10m' });
    const slowestMs = Math.max(...planned.frontier.map(({ prediction }) => prediction.remainingMs.p95));
    const svg = frontierSvg({ ...planned, goal: { ...planned.goal, deadlineMs: 2 * slowestMs } });
    expect(svg).toMatch(/deadline<\/text>/);
    expect(svg).toMatch(/far away: budget \$1000/);
    expect(svg).not.toMatch(/budget<\/text>/);
  });

  it('compares the exchanges that the job allows on AWS, and says what a node is rented for', async () => {
    const { exchanges, choice, assumptions } = await plan({ minimize: { usdPerHour: 5 } });
    expect(exchanges.map(({ kind, shards }) => `${kind} ${shards}`)).toEqual(['redis 1', 'redis 2', 'redis 4', 'redis 8', 'hybrid 1', 's3 1']);
    expect(choice).toMatchObject({ kind: 'run', allocation: { exchange: expect.any(String) }, reason: expect.stringMatching(/ over /) });
    expect(assumptions.join()).toMatch(/cache\.r6g\.large node, at \$0\.206 an hour/);
    const onlyS3 = await planJob(job({}, undefined, { exchanges: ['s3'] }), 'aws', () => undefined);
    expect(onlyS3.exchanges).toHaveLength(1);
    await expect(planJob(job({}, undefined, { exchanges: ['files'] }), 'aws', () => undefined)).rejects.toThrow(
      /share no files; expected one of redis, hybrid, s3/,
    );
    await expect(planJob(job({}, undefined, { exchanges: ['redis'] }), 'local', () => undefined)).rejects.toThrow(/SMLT_EXCHANGE_URI has files/);
  });

  it('starts nothing, answers for machines, and warns by its exit code of a goal that will probably be missed', async () => {
    const path = join(folder, 'job.json');
    const write = (goal: object) => writeFileSync(path, JSON.stringify({ ...job({}), goal }));
    write({ budgetUsd: 1 });
    const good = await smlt.run(['plan', path, '--json', '--svg', join(folder, 'plan.svg')]);
    expect(good.code).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({ name: 'quarters', steps: 5_000, goal: { minimize: 'time', budgetUsd: 1 } });
    expect(readFileSync(join(folder, 'plan.svg'), 'utf8')).toMatch(/^<svg/);
    write({ deadline: '1s' });
    expect(await smlt.run(['plan', path])).toMatchObject({ code: 3, stdout: expect.stringMatching(/will probably be missed/) });
    write({ budgetUsd: 1 });
    const elsewhere = await smlt.run(['plan', path, '--on', 'aws'], { AWS_REGION: 'eu-west-1' });
    expect(elsewhere).toMatchObject({ code: 2, stderr: expect.stringMatching(/prices of AWS region eu-west-1 are not known.*SMLT_PRICES/) });
    const prices = join(folder, 'prices.json');
    writeFileSync(
      prices,
      JSON.stringify({ region: 'eu-west-1', readOn: '2026-11-24', usdPerGbSecond: 1, usdPerRequest: 0, usdPerPut: 0, usdPerGet: 0 }),
    );
    const there = await smlt.run(['plan', path, '--on', 'aws'], { AWS_REGION: 'eu-west-1', SMLT_PRICES: prices });
    expect(there.stdout).toMatch(/list prices of eu-west-1/);
    write({ budgetUsd: -1 });
    expect(await smlt.run(['plan', path])).toMatchObject({ code: 2, stderr: expect.stringMatching(/goal\.budgetUsd/) });
  });

  it('runs the first steps for a few cents where it may, and knows the rest better', async () => {
    const path = join(folder, 'probed.json');
    writeFileSync(path, JSON.stringify(job({ budgetUsd: 1 })));
    const widthOf = (stdout: string) => {
      const { p05, p95 } = (JSON.parse(stdout) as JobPlan).frontier[0]!.prediction.remainingMs;
      return p95 / p05;
    };
    const [blind, probed] = [await smlt.run(['plan', path, '--json']), await smlt.run(['plan', path, '--json', '--probe', '0.02', '--ephemeral'])];
    expect(probed.stderr).toContain('for at most $0.02');
    expect(probed.code).toBe(0);
    const { probe } = JSON.parse(probed.stdout) as JobPlan;
    expect(probe!.rounds).toBeGreaterThanOrEqual(1);
    expect(probe!.costUsd).toBeGreaterThan(0);
    expect(probe!.costUsd).toBeLessThanOrEqual(0.02);
    expect(widthOf(probed.stdout)).toBeLessThan(widthOf(blind.stdout) / 2);
    expect(await smlt.run(['plan', path, '--probe', '0'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/expected US dollars above 0/) });
  });
});
