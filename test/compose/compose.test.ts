import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { searchAttributes } from '../../contracts/search-attributes';
import { readConfig } from '../../worker/config';

const root = join(__dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const Healthcheck = z.strictObject({
  test: z.tuple([z.enum(['CMD', 'CMD-SHELL'])], z.string()),
  interval: z.string(),
  timeout: z.string(),
  retries: z.int(),
  start_period: z.string().optional(),
});
const condition = z.enum(['service_started', 'service_healthy', 'service_completed_successfully']);
const Service = z.strictObject({
  image: z.string(),
  build: z.string().optional(),
  init: z.boolean().optional(),
  restart: z.enum(['unless-stopped']).optional(),
  profiles: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  network_mode: z.string().optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition })).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  healthcheck: Healthcheck.optional(),
});
const Compose = z.strictObject({
  name: z.string(),
  'x-smlt': z.unknown(),
  'x-store': z.unknown(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.strictObject({ driver: z.string(), driver_opts: z.record(z.string(), z.string()) }).nullable()),
});

describe('docker-compose.yml', () => {
  const { services, volumes } = Compose.parse(parse(read('docker-compose.yml'), { merge: true }));
  const worker = services['worker']!;
  const lambda = services['lambda']!;

  it.each(Object.entries(services))('pins the image of %s by a full version', (_name, { image }) => {
    expect(image).toMatch(/^[a-z0-9/.-]+:v?\d+\.\d+/);
  });

  it('pins the image that the Dockerfile builds on', () => {
    const [, image] = /^ARG NODE_IMAGE=(.+)$/m.exec(read('Dockerfile')) ?? [];
    expect(image).toMatch(/^node:\d+\.\d+\.\d+-slim$/);
    for (const [, from] of read('Dockerfile').matchAll(/^FROM (\S+)/gm)) expect(from).toBe('${NODE_IMAGE}');
  });

  it('waits for a service only in a way that the service can fulfil', () => {
    for (const { depends_on } of Object.values(services))
      for (const [name, wanted] of Object.entries(depends_on)) {
        const service = services[name];
        expect(service).toBeDefined();
        if (wanted.condition === 'service_healthy') expect(service!.healthcheck).toBeDefined();
        if (wanted.condition === 'service_completed_successfully') expect(service!.restart).toBeUndefined();
      }
  });

  it('has a health check for everything that goes on running', () => {
    for (const { restart, healthcheck } of Object.values(services)) expect(healthcheck !== undefined).toBe(restart !== undefined);
  });

  it('binds every port to 127.0.0.1, and no two to the same one', () => {
    const ports = Object.values(services).flatMap((service) => service.ports);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    const outside = ports.map((port) => port.split(':')[1]);
    expect(new Set(outside).size).toBe(outside.length);
  });

  it('mounts only volumes that exist, and uses all that exist', () => {
    const mounted = Object.values(services).flatMap((service) => service.volumes.map((volume) => volume.split(':')[0]!));
    const named = mounted.filter((name) => /^[a-z]/.test(name));
    expect(new Set(named)).toEqual(new Set(Object.keys(volumes)));
  });

  it('tells the worker only what worker/config.ts, the AWS SDK or Temporal reads', () => {
    const known = new Set([...read('worker/config.ts').matchAll(/^ {2}([A-Z][A-Z0-9_]+): z\b/gm)].map(([, name]) => name));
    expect(known.size).toBeGreaterThan(5);
    const unknown = Object.keys(worker.environment).filter((name) => !known.has(name) && !/^(AWS|TEMPORAL)_/.test(name));
    expect(unknown).toEqual([]);
  });

  it('gives the worker an environment that it accepts, with the stores of this file', () => {
    const config = readConfig(worker.environment);
    expect(config).toMatchObject({
      temporalAddress: 'temporal:7233',
      taskQueue: 'smlt',
      storeUri: 's3://smlt',
      exchangeUris: ['redis://valkey:6379'],
    });
    const mounts = worker.volumes.map((volume) => volume.split(':')[1]);
    expect(mounts).toEqual(expect.arrayContaining(['/var/lib/smlt']));
  });

  it('runs the functions beside the worker: same image, same volumes, same store, reached over loopback', () => {
    expect(lambda.image).toBe(worker.image);
    expect(lambda.volumes).toEqual(worker.volumes);
    expect(worker.environment).toMatchObject(lambda.environment);
    expect(worker.network_mode).toBe('service:lambda');
    const port = lambda.command![lambda.command!.indexOf('--port') + 1];
    expect(worker.environment['SMLT_LAMBDA_ENDPOINT']).toBe(`http://127.0.0.1:${port}`);
  });

  it('gives the store the credentials that its users have', () => {
    const { ROOT_ACCESS_KEY, ROOT_SECRET_KEY } = services['store']!.environment;
    expect([ROOT_ACCESS_KEY, ROOT_SECRET_KEY]).toEqual([worker.environment['AWS_ACCESS_KEY_ID'], worker.environment['AWS_SECRET_ACCESS_KEY']]);
  });

  it('registers every search attribute that workflows set, with its type', () => {
    const command = services['search-attributes']!.command!.join(' ');
    const registered = Object.fromEntries([...command.matchAll(/--name (\w+) --type (\w+)/g)].map(([, name, type]) => [name, type]));
    expect(registered).toEqual(searchAttributes);
  });
});
