import { join } from 'node:path';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { createActivities } from '../activities';
import type { WorkerConfig } from './config';
import { openEngine } from './engine';
import { errorInterceptor } from './error-interceptor';
import { knowsSearchAttributes } from './search-attributes';

const workflowBundlePath = join(__dirname, '..', 'workflow-bundle.js');

/** Builds smlt's Temporal worker: config -> stores, platform, activities, bundle, interceptors. */
export async function createWorker(config: WorkerConfig, options: Partial<WorkerOptions> = {}): Promise<Worker> {
  const connection = await NativeConnection.connect({ ...config.connectionOptions, address: config.temporalAddress });
  const engine = await openEngine(config, await knowsSearchAttributes(connection, config.namespace));
  return Worker.create({
    connection,
    namespace: config.namespace,
    taskQueue: config.taskQueue,
    workflowBundle: { codePath: workflowBundlePath },
    activities: createActivities(engine),
    interceptors: { activity: [() => ({ inbound: errorInterceptor })] },
    // A lost invocation is charged by its first heartbeat, so that one must not be held back.
    maxHeartbeatThrottleInterval: '200ms',
    shutdownGraceTime: '10s',
    ...options,
  });
}
