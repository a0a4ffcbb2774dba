import { join } from 'node:path';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { createActivities } from '../../../activities';
import { SimulatedPlatform, type FunctionModel } from '../../../platforms/simulated';
import type { PlatformLimits } from '../../../platforms/platform';
import { errorInterceptor } from '../../../worker/error-interceptor';
import { MemoryObjectStore, SimulatedExchange } from './memory-store';
import { TestServerClock } from './test-server-clock';

const TASK_QUEUE = 'simulated';
export interface SimulatedEngineOptions {
  readonly model: FunctionModel;
  readonly limits?: Partial<PlatformLimits>;
  readonly gatherMs?: number;
}

/** The real workflows and activities on the time-skipping server, over functions that only take virtual time. */
export async function startSimulatedEngine(serverPath: string) {
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), telemetryOptions: { logging: { filter: { core: 'ERROR' }, forward: {} } } });
  const environment = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path: serverPath } } });
  const quiet = new DefaultLogger('ERROR');
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: join(__dirname, '..', '..', '..', 'workflows', 'index.ts'),
    workflowInterceptorModules: [join(__dirname, 'interceptors.ts')],
    logger: quiet,
  });
  const { client } = environment;
  let worlds = 0;

  return {
    client,
    /** Runs `work` in a world of its own: a task queue, a store and a platform. */
    async inWorld<T>(options: SimulatedEngineOptions, work: (world: SimulatedWorld) => Promise<T>): Promise<T> {
      const taskQueue = `${TASK_QUEUE}-${worlds++}`;
      const clock = new TestServerClock(environment);
      const store = new MemoryObjectStore((name) => platform.manifestWritten(name));
      const platform: SimulatedPlatform = new SimulatedPlatform({ clock, objects: store, ...options });
      await clock.now();
      const worker = await Worker.create({
        connection: environment.nativeConnection,
        taskQueue,
        workflowBundle,
        activities: createActivities({
          store,
          platform,
          exchanges: [new SimulatedExchange(() => platform)],
          redisUsdPerHour: 0,
          searchAttributes: false,
          readDataSet: async () => ({
            ...{ formatVersion: 1, samples: options.model.samples, featureShape: [1], target: { kind: 'class', classes: 10 } },
            ...{ shards: [{ file: 'none', samples: options.model.samples, sha256: '' }], sha256: 'simulated-data' },
          }),
          readSamples: async (_uri, count) => Array.from({ length: count }, () => [0]),
          findPython: () => Promise.reject(new Error('simulated functions run no Python')),
          nowMs: clock.nowMs,
        }),
        interceptors: { activity: [() => ({ inbound: errorInterceptor })] },
        maxConcurrentActivityTaskExecutions: 256,
        maxHeartbeatThrottleInterval: '1ms',
      });
      return worker.runUntil(async () => {
        const result = await work({
          platform,
          store,
          now: () => environment.currentTimeMs(),
          sleep: (durationMs: number) => environment.sleep(durationMs),
          run: async <R>(type: string, workflowId: string, input: unknown) =>
            (await client.workflow.execute(type, { taskQueue, workflowId, args: [input], workflowTaskTimeout: '1m' })) as R,
          start: (type: string, workflowId: string, input: unknown) =>
            client.workflow.start(type, { taskQueue, workflowId, args: [input], workflowTaskTimeout: '1m' }),
        });
        return result;
      });
    },
    close: () => environment.teardown(),
  };
}
export type SimulatedEngine = Awaited<ReturnType<typeof startSimulatedEngine>>;
export interface SimulatedWorld {
  readonly platform: SimulatedPlatform;
  readonly store: MemoryObjectStore;
  now(): Promise<number>;
  /** Lets time pass from outside, as awaiting a result does. */
  sleep(durationMs: number): Promise<void>;
  run<R>(type: string, workflowId: string, input: unknown): Promise<R>;
  start(type: string, workflowId: string, input: unknown): ReturnType<SimulatedEngine['client']['workflow']['start']>;
}
