export { readConfig, type WorkerConfig } from './config';
export { createWorker } from './create-worker';
export { openEngine } from './engine';
export { smltPlugin } from './plugin';
