import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileError, writableFolder } from '../../client/dev/files';
import { acquireLock, lockHolder } from '../../client/dev/lock';
import { choosePorts } from '../../client/dev/ports';
import { endProcess, identify, isAlive } from '../../client/dev/processes';
import { Service, type ServiceDefinition } from '../../client/dev/service';
import { until } from './smlt-process';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'smlt-dev-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the lock of a home', () => {
  it('is held by one, and free again when let go', () => {
    const file = join(folder, 'lock');
    const unlock = acquireLock(file);
    expect(() => acquireLock(file)).toThrow(/already running in this home \(process \d+\)/);
    expect(lockHolder(file)?.pid).toBe(process.pid);
    unlock();
    acquireLock(file)();
  });

  it('is taken over from a dead holder, also when its process id belongs to another process by now', () => {
    const file = join(folder, 'lock');
    writeFileSync(file, JSON.stringify({ pid: process.pid, startedAs: 'another time' }));
    expect(lockHolder(file)).toBeUndefined();
    acquireLock(file)();
  });

  it('is not let go by somebody who lost it', () => {
    const file = join(folder, 'lock');
    const unlock = acquireLock(file);
    writeFileSync(file, JSON.stringify({ pid: 1, startedAs: 'x' }));
    unlock();
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ pid: 1, startedAs: 'x' });
  });
});

describe('ports', () => {
  it('are those of last time, unless one is taken', async () => {
    const file = join(folder, 'ports.json');
    const first = await choosePorts({}, file);
    expect(new Set(Object.values(first)).size).toBe(3);
    expect(await choosePorts({}, file)).toEqual(first);
    const server = createServer().listen(first.ui, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const second = await choosePorts({}, file);
    expect(second).toEqual({ ...first, ui: second.ui });
    expect(second.ui).not.toBe(first.ui);
    server.close();
  });

  it('that were asked for and are busy are an error naming port and option', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await expect(choosePorts({ ui: port }, join(folder, 'ports.json'))).rejects.toMatchObject({
      code: 'AlreadyRunning',
      message: expect.stringMatching(new RegExp(`port ${port} \\(--ui-port\\) is in use`)),
    });
    server.close();
  });
});

describe('a folder that cannot be used', () => {
  it('is named, with what stands in the way', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => writableFolder(join(file, 'home'))).toThrow(/cannot write to .*file\/home: a file is in its place[^]*SMLT_HOME/);
  });

  it.each([
    ['EROFS', 'StoreDenied', /read-only/],
    ['EACCES', 'StoreDenied', /permission denied/],
    ['ENOSPC', 'StoreFull', /the disk is full/],
  ])('gives %s its own words', (code, expected, words) => {
    const error = fileError(Object.assign(new Error(code), { code }), 'write to', '/somewhere');
    expect(error).toMatchObject({ code: expected, message: expect.stringMatching(words) });
  });
});

describe('a process', () => {
  it('is told apart from a later one with its id, and killed when it will not end', async () => {
    const child = spawn(process.execPath, ['-e', `process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)`]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const id = identify(child.pid!);
    expect(isAlive(id)).toBe(true);
    expect(isAlive({ ...id, startedAs: 'another time' })).toBe(false);
    await endProcess({ ...id, startedAs: 'another time' }, 100);
    expect(isAlive(id)).toBe(true);
    await endProcess(id, 100);
    expect(isAlive(id)).toBe(false);
  });
});

describe('a supervised process', () => {
  const gone: Service[] = [];
  afterEach(async () => {
    for (const service of gone.splice(0)) await service.stop();
  });
  function supervise(script: string, changes: Partial<ServiceDefinition> = {}) {
    const ids: (number | undefined)[] = [];
    const given: Error[] = [];
    const definition: ServiceDefinition = {
      name: 'worker',
      title: 'the Temporal worker',
      command: process.execPath,
      args: ['-e', script],
      environment: process.env,
      becameReady: ({ line }) => line((text) => text === 'ready'),
      readyWithinMs: 20_000,
      graceMs: 1_000,
      ...changes,
    };
    const service = new Service(definition, join(folder, 'log'), { onChange: (id) => ids.push(id?.pid), log: () => undefined, onGivenUp: (error) => given.push(error) }); // prettier-ignore
    gone.push(service);
    return { service, ids, given };
  }

  it('is started again when it is killed', async () => {
    const { service, ids } = supervise(`console.log('ready'); setInterval(() => {}, 1000)`);
    await service.start();
    process.kill(ids[0]!, 'SIGKILL');
    await until('a new process', () => ids[2]);
    expect(ids).toEqual([expect.any(Number), undefined, expect.any(Number)]);
  });

  it('is given up, with its last words, when it keeps dying', async () => {
    const { service, given } = supervise(`console.log('ready'); console.error('out of luck'); setTimeout(() => process.exit(7), 20)`, {
      mostDeaths: 3,
    });
    await service.start();
    const error = await until('giving up', () => given[0]);
    expect(error.message).toMatch(/ended \d+ times within 60 s[^]*out of luck/);
  }, 30_000);

  it('that cannot start says what it printed', async () => {
    const { service } = supervise(`console.error('no such license'); process.exit(3)`);
    await expect(service.start()).rejects.toThrow(/the Temporal worker ended with exit code 3[^]*\| no such license/);
  });

  it('that never gets ready is ended', async () => {
    const { service, ids } = supervise(`setInterval(() => {}, 1000)`, { readyWithinMs: 200 });
    await expect(service.start()).rejects.toThrow(/not ready within 0.2 s/);
    expect(isAlive(identify(ids[0]!))).toBe(false);
  });
});
