import { createHash } from 'node:crypto';
import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  DeleteFunctionConcurrencyCommand,
  GetAccountSettingsCommand,
  GetFunctionCommand,
  GetFunctionConcurrencyCommand,
  GetFunctionConfigurationCommand,
  ListFunctionsCommand,
  PutFunctionConcurrencyCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionExists,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { removeTemporaryFolders, role, startTestServer, testZip, zipOf, type TestServer } from './support';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server.close();
  removeTemporaryFolders();
});

describe('functions', () => {
  it('are created pending, and active for the waiters at once', async () => {
    const { client } = server;
    const created = await client.send(
      new CreateFunctionCommand({
        FunctionName: 'fresh',
        Runtime: 'nodejs22.x',
        Role: role,
        Handler: 'index.train',
        Code: { ZipFile: testZip },
        Environment: { Variables: { COLOR: 'red' } },
      }),
    );
    expect(created).toMatchObject({
      FunctionName: 'fresh',
      State: 'Pending',
      Timeout: 3,
      MemorySize: 128,
      Version: '$LATEST',
      CodeSize: testZip.byteLength,
    });
    expect(created.CodeSha256).toBe(createHash('sha256').update(testZip).digest('base64'));
    const input = { FunctionName: 'fresh' };
    expect((await waitUntilFunctionExists({ client, maxWaitTime: 10 }, input)).state).toBe('SUCCESS');
    expect((await waitUntilFunctionActiveV2({ client, maxWaitTime: 10 }, input)).state).toBe('SUCCESS');
    expect((await waitUntilFunctionUpdatedV2({ client, maxWaitTime: 10 }, input)).state).toBe('SUCCESS');
  });

  it('can be downloaded as they were uploaded', async () => {
    const found = await server.client.send(new GetFunctionCommand({ FunctionName: 'arn:aws:lambda:us-east-1:000000000000:function:fresh' }));
    expect(found.Configuration?.Environment?.Variables).toEqual({ COLOR: 'red' });
    const bytes = await (await fetch(found.Code?.Location as string)).arrayBuffer();
    expect(Buffer.from(bytes).equals(Buffer.from(testZip))).toBe(true);
  });

  it('are refused under a name that is taken', async () => {
    await expect(server.create('fresh')).rejects.toMatchObject({ name: 'ResourceConflictException', $metadata: { httpStatusCode: 409 } });
  });

  it('take new settings and new code, and a new process serves them', async () => {
    const { client } = server;
    await server.create('changing', { Environment: { Variables: { COLOR: 'red' } } });
    const before = await server.call('changing');
    await client.send(
      new UpdateFunctionConfigurationCommand({ FunctionName: 'changing', Environment: { Variables: { COLOR: 'blue' } }, MemorySize: 300 }),
    );
    const after = await server.call('changing');
    expect([before.answer['color'], after.answer['color']]).toEqual(['red', 'blue']);
    expect(after.answer['memory']).toBe('300');
    expect(after.answer['pid']).not.toBe(before.answer['pid']);
    const updated = await client.send(
      new UpdateFunctionCodeCommand({ FunctionName: 'changing', ZipFile: zipOf({ 'index.js': 'exports.train = () => "new code"' }) }),
    );
    expect(updated.LastUpdateStatus).toBe('InProgress');
    expect((await server.call('changing')).answer).toBe('new code');
    expect((await client.send(new GetFunctionConfigurationCommand({ FunctionName: 'changing' }))).MemorySize).toBe(300);
  });

  it('are listed page by page', async () => {
    const first = await server.client.send(new ListFunctionsCommand({ MaxItems: 1 }));
    const second = await server.client.send(new ListFunctionsCommand({ MaxItems: 1, Marker: first.NextMarker }));
    expect([first.Functions?.[0]?.FunctionName, second.Functions?.[0]?.FunctionName, second.NextMarker]).toEqual(['changing', 'fresh', undefined]);
  });

  it('are gone once deleted', async () => {
    const { client } = server;
    await server.create('doomed');
    await client.send(new DeleteFunctionCommand({ FunctionName: 'doomed' }));
    await expect(client.send(new GetFunctionCommand({ FunctionName: 'doomed' }))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(server.call('doomed')).rejects.toMatchObject({ name: 'ResourceNotFoundException', $metadata: { httpStatusCode: 404 } });
    await expect(client.send(new DeleteFunctionCommand({ FunctionName: 'doomed' }))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  it('reserve concurrency out of the account’s, and give it back', async () => {
    const { client } = server;
    const input = { FunctionName: 'fresh' };
    await client.send(new PutFunctionConcurrencyCommand({ ...input, ReservedConcurrentExecutions: 28 }));
    expect((await client.send(new GetFunctionConcurrencyCommand(input))).ReservedConcurrentExecutions).toBe(28);
    const settings = await client.send(new GetAccountSettingsCommand({}));
    expect(settings.AccountLimit).toMatchObject({ ConcurrentExecutions: 128, UnreservedConcurrentExecutions: 100 });
    await expect(client.send(new PutFunctionConcurrencyCommand({ ...input, ReservedConcurrentExecutions: 129 }))).rejects.toThrow(/minimum value/);
    await client.send(new DeleteFunctionConcurrencyCommand(input));
    expect((await client.send(new GetFunctionConcurrencyCommand(input))).ReservedConcurrentExecutions).toBeUndefined();
  });
});

describe('what Lambda would refuse is refused', () => {
  it.each([
    ['memory below 128 MB', { MemorySize: 64 }, 'ValidationException', /64.*MemorySize/],
    ['a time limit above 15 minutes', { Timeout: 901 }, 'ValidationException', /Timeout/],
    ['a runtime that is not there', { Runtime: 'cobol85' as never }, 'ValidationException', /Runtime/],
    ['a role that is no ARN', { Role: 'me' }, 'ValidationException', /Role/],
    ['a name with a space', { FunctionName: 'a b' }, 'ValidationException', /functionName/],
    ['a reserved variable', { Environment: { Variables: { AWS_REGION: 'x' } } }, 'InvalidParameterValueException', /AWS_REGION/],
    ['4 KB of variables', { Environment: { Variables: { BIG: 'x'.repeat(4_096) } } }, 'InvalidParameterValueException', /4KB/],
    ['code that is no zip', { Code: { ZipFile: Buffer.from('no zip') } }, 'InvalidParameterValueException', /unzip/],
    ['code that is nowhere', { Code: {} }, 'InvalidParameterValueException', /source/],
    ['a zip that leaves its folder', { Code: { ZipFile: zipOf({ '../../evil.js': '1' }) } }, 'InvalidParameterValueException', /evil/],
    ['an absolute path in a zip', { Code: { ZipFile: zipOf({ '/evil.js': '1' }) } }, 'InvalidParameterValueException', /evil/],
    ['a bucket that is not there', { Code: { S3Bucket: 'nobody', S3Key: 'a.zip' } }, 'InvalidParameterValueException', /NoSuchKey/],
  ])('%s', async (_what, change, name, message) => {
    await expect(server.create('refused', change)).rejects.toMatchObject({ name, message: expect.stringMatching(message) });
  });

  it('code of more than 250 MB, by its directory alone', async () => {
    const zip = Buffer.from(zipOf({ 'big.bin': 'small' }));
    zip.writeUInt32LE(262_144_001, zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02])) + 24); // its size in the zip's directory
    await expect(server.create('refused', { Code: { ZipFile: zip } })).rejects.toMatchObject({ message: expect.stringMatching(/262144000/) });
  });

  it('a request of more than 70 MB', async () => {
    const answer = await fetch(`${server.endpoint}/2015-03-31/functions`, {
      method: 'POST',
      body: Buffer.alloc(70_167_212, 32),
      headers: { authorization: 'AWS4-HMAC-SHA256 x' },
    });
    expect([answer.status, answer.headers.get('x-amzn-errortype')]).toEqual([413, 'RequestEntityTooLargeException']);
  });

  it('a request without a signature, or from a web page', async () => {
    const body = JSON.stringify({ FunctionName: 'evil' });
    expect((await fetch(`${server.endpoint}/2015-03-31/functions`, { method: 'POST', body })).status).toBe(403);
    expect((await fetch(`${server.endpoint}/smlt/bills`, { headers: { origin: 'https://example.com' } })).status).toBe(403);
  });
});

it('unpacks one package once, whatever the number of functions', async () => {
  const sha256 = createHash('sha256').update(testZip).digest('hex');
  await server.create('by-key', { Code: { S3Bucket: 'smlt-local-code', S3Key: `${sha256}.zip` } });
  const { answer } = await server.call('by-key', { print: 'x' });
  expect(answer['name']).toBe('by-key');
});
