import { SimplePlugin } from '@temporalio/plugin';
import { createActivities, type EngineDependencies } from '../activities';
import { errorInterceptor } from './error-interceptor';

/** Adds smlt's activities to a Temporal worker of your own; its workflows come from `smlt/workflows` in your bundle. */
export function smltPlugin(engine: EngineDependencies): SimplePlugin {
  return new SimplePlugin({
    name: 'smlt',
    activities: createActivities(engine),
    workerInterceptors: { activity: [() => ({ inbound: errorInterceptor })] },
  });
}
