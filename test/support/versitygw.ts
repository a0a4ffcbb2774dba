import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports';
import { requireBackend } from './require';

const howToGet = 'GOBIN=$PWD/.cache/bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0';

function findVersitygw(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), resolve(__dirname, '../../.cache/bin')].filter(Boolean);
  return [process.env['SMLT_VERSITYGW'], ...folders.map((folder) => join(folder, 'versitygw'))].find(
    (path) => path !== undefined && existsSync(path),
  );
}

/** A real server of the S3 API, for the tests that need one. */
export const s3Server = requireBackend('s3', findVersitygw, howToGet);

export interface S3Server {
  readonly endpoint: string;
  readonly bucket: string;
  readonly env: NodeJS.ProcessEnv;
  /** Where the bucket's objects lie as files. */
  readonly folder: string;
  /** SIGKILL; `start` brings it up again at the same port, with the same objects. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a server on a port that the system picks, with one empty bucket. */
export async function startVersitygw(binary: string, { accessLog }: { accessLog?: string } = {}): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), 'smlt-s3-'));
  mkdirSync(join(folder, 'test-bucket'));
  const port = await freePort();
  const logged = accessLog === undefined ? [] : ['--access-log', accessLog];
  const endpoint = `http://127.0.0.1:${port}`;
  let child: ChildProcess;
  let gone: Promise<void>;
  const start = async () => {
    child = spawn(binary, ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', '--health', '/health', ...logged, 'posix', folder], {
      env: { ...process.env, ROOT_ACCESS_KEY: 'test', ROOT_SECRET_KEY: 'testsecret' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    gone = new Promise<void>((done) => child.once('exit', () => done()));
    for (let attempt = 0; !(await answers(`${endpoint}/health`)); attempt++) {
      if (attempt === 200 || child.exitCode !== null) throw new Error(`versitygw does not answer at ${endpoint}`);
      await sleep(25);
    }
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    endpoint,
    bucket: 'test-bucket',
    env: { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'testsecret' },
    folder: join(folder, 'test-bucket'),
    kill,
    start,
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
