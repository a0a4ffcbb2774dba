import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../worker/config';

describe('the configuration of a Temporal worker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'smlt-profile-'));
  const profile = join(folder, 'temporal.toml');
  writeFileSync(profile, '[profile.cloud]\naddress = "ns.example:7233"\nnamespace = "ns"\napi_key = "secret"\n');
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is a server on this machine, without TLS, where nothing is said', () => {
    const { temporalAddress, namespace, connectionOptions } = readConfig({ TEMPORAL_CONFIG_FILE: join(folder, 'nothing') });
    expect({ temporalAddress, namespace }).toEqual({ temporalAddress: '127.0.0.1:7233', namespace: 'default' });
    expect(connectionOptions).toMatchObject({ tls: undefined, apiKey: undefined });
  });

  it('takes address, namespace, key and TLS from a Temporal profile, as clients do', () => {
    const config = readConfig({ TEMPORAL_CONFIG_FILE: profile, TEMPORAL_PROFILE: 'cloud' });
    expect(config).toMatchObject({ temporalAddress: 'ns.example:7233', namespace: 'ns', connectionOptions: { apiKey: 'secret', tls: true } });
  });

  it('takes TLS from the environment, which wins over a profile', () => {
    const environment = {
      TEMPORAL_CONFIG_FILE: profile,
      TEMPORAL_PROFILE: 'cloud',
      TEMPORAL_ADDRESS: 'other:7233',
      TEMPORAL_TLS_SERVER_NAME: 'inside',
    };
    const { temporalAddress, connectionOptions } = readConfig(environment);
    expect({ temporalAddress, tls: connectionOptions?.tls }).toMatchObject({ temporalAddress: 'other:7233', tls: { serverNameOverride: 'inside' } });
  });

  it('says which profile is not there', () => {
    const environment = { TEMPORAL_CONFIG_FILE: profile, TEMPORAL_PROFILE: 'clod' };
    expect(() => readConfig(environment)).toThrow(expect.objectContaining({ code: 'InvalidSpec', message: expect.stringMatching(/profile.*clod/i) }));
  });
});
