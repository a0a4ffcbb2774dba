import { execFile, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { TrainAnswer, type RoundPlan } from '../../contracts/round';
import type { Rig } from './rig';

const program = `require(process.argv[1]).train(JSON.parse(process.argv[2]), { getRemainingTimeInMillis: () => 60000 })
  .then((answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0)))`;

/** The functions' bundle, and processes that run one invocation each. */
export class FunctionProcess {
  #folder = '';

  async build(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'smlt-bundle-'));
    await build({
      entryPoints: [resolve('functions/index.ts')],
      outfile: join(this.#folder, 'index.js'),
      bundle: true,
      platform: 'node',
      external: ['onnxruntime-node', '@aws-sdk/*'],
      logLevel: 'error',
    });
  }
  remove(): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true });
  }

  /** Undefined when the process was killed. */
  train(rig: Rig, plan: RoundPlan, worker: number, started: (child: ChildProcess) => void = () => undefined): Promise<TrainAnswer | undefined> {
    const { run, track, round } = plan;
    const assignment = { storeUri: rig.store.uri, run, track, round, worker, memoryMib: 512 };
    return new Promise((done, fail) => {
      const child = execFile(
        process.execPath,
        ['-e', program, join(this.#folder, 'index.js'), JSON.stringify(assignment)],
        { env: { ...process.env, NODE_PATH: resolve('node_modules') } },
        (error, stdout, stderr) => {
          if (error?.signal === 'SIGKILL') return done(undefined);
          const answer = error ? undefined : TrainAnswer.safeParse(JSON.parse(stdout.trimEnd().split('\n').at(-1)!));
          if (answer?.success) done(answer.data);
          else fail(new Error(`worker ${worker}: ${stdout} ${stderr}`));
        },
      );
      started(child);
    });
  }
}
