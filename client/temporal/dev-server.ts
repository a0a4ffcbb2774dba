import { searchAttributes } from '../../contracts/search-attributes';

/**
 * Arguments of `temporal server start-dev` with state on disk. Its defaults limit rates so that an activity takes four
 * times and a timer fifteen times as long as the server needs.
 */
export function devServerArguments({ port, uiPort, database }: { port: number; uiPort: number; database: string }): string[] {
  const dynamicConfig = [
    'history.transferProcessorMaxPollRPS=2000',
    'history.timerProcessorMaxPollRPS=2000',
    'history.timerProcessorMaxTimeShift="10ms"',
    'history.workflowIdReuseMinimalInterval="0s"',
    'limit.historyCount.suggestContinueAsNew=500',
  ];
  return [
    'server',
    'start-dev',
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--ui-port',
    String(uiPort),
    '--db-filename',
    database,
    '--log-level',
    'warn',
    ...dynamicConfig.flatMap((value) => ['--dynamic-config-value', value]),
    ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
  ];
}
