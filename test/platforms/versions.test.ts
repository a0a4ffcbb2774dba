import {
  CreateAliasCommand,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  GetAliasCommand,
  ListVersionsByFunctionCommand,
  PublishVersionCommand,
  UpdateAliasCommand,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { removeTemporaryFolders, startTestServer, type TestServer } from './support';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await server.create('model', { Environment: { Variables: { COLOR: 'red' } } });
});
afterAll(async () => {
  await server.close();
  removeTemporaryFolders();
});
const publish = () => server.client.send(new PublishVersionCommand({ FunctionName: 'model' }));
const paint = (color: string) =>
  server.client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'model', Environment: { Variables: { COLOR: color } } }));

it('a published version keeps its settings, and publishing it again answers the same one', async () => {
  expect([(await publish()).Version, (await publish()).Version]).toEqual(['1', '1']);
  await paint('blue');
  expect((await publish()).Version).toBe('2');
  expect((await server.call('model', {}, '1')).answer['color']).toBe('red');
  expect((await server.call('model:2')).answer['color']).toBe('blue');
  const { Versions } = await server.client.send(new ListVersionsByFunctionCommand({ FunctionName: 'model' }));
  expect(Versions?.map(({ Version }) => Version)).toEqual(['$LATEST', '1', '2']);
});

it('a weighted alias shares its calls between two versions, and says which one ran', async () => {
  const alias = { FunctionName: 'model', Name: 'live' };
  await server.client.send(new CreateAliasCommand({ ...alias, FunctionVersion: '1' }));
  await server.client.send(new UpdateAliasCommand({ ...alias, RoutingConfig: { AdditionalVersionWeights: { 2: 0.5 } } }));
  const seen: Record<string, number> = { 1: 0, 2: 0 };
  for (let i = 0; i < 60; i += 1) {
    const { version, answer } = await server.call('model', {}, 'live');
    expect(answer['color']).toBe(version === '1' ? 'red' : 'blue');
    seen[version as string] = (seen[version as string] ?? 0) + 1;
  }
  expect(seen['1']).toBeGreaterThan(5); // of 60 fair draws, fewer than 6 come once in 10^11 runs
  expect(seen['2']).toBeGreaterThan(5);
  await server.client.send(new UpdateAliasCommand({ ...alias, FunctionVersion: '2', RoutingConfig: { AdditionalVersionWeights: {} } }));
  expect((await server.client.send(new GetAliasCommand(alias))).RoutingConfig).toBeUndefined();
  expect((await server.call('model', {}, 'live')).version).toBe('2');
});

it('an alias is refused where its versions make no sense', async () => {
  const update = (RoutingConfig: { AdditionalVersionWeights: Record<string, number> }) =>
    server.client.send(new UpdateAliasCommand({ FunctionName: 'model', Name: 'live', RoutingConfig }));
  await expect(update({ AdditionalVersionWeights: { 9: 0.5 } })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  await expect(update({ AdditionalVersionWeights: { 2: 0.5 } })).rejects.toThrow(/same version/);
  await expect(update({ AdditionalVersionWeights: { 1: 1.5 } })).rejects.toThrow(/1\.5/);
  await expect(server.call('model', {}, 'nowhere')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});

it('a version that an alias uses cannot be deleted; afterwards it can', async () => {
  const version = new DeleteFunctionCommand({ FunctionName: 'model', Qualifier: '2' });
  await expect(server.client.send(version)).rejects.toMatchObject({ name: 'ResourceConflictException' });
  await server.client.send(new DeleteAliasCommand({ FunctionName: 'model', Name: 'live' }));
  await server.client.send(version);
  await expect(server.call('model', {}, '2')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});
