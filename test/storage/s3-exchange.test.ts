import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchangeFrames } from '../../storage/frame';
import { S3Exchange } from '../../storage/s3/s3-exchange';
import { signS3, UNSIGNED } from '../../storage/s3/sigv4';
import { s3Server, startVersitygw, type S3Server } from '../support/versitygw';

const mib = 2 ** 20;
const counted = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 12)) % 251);
const fault = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });
const uriOf = (endpoint: string, bucket = 'test-bucket') => `s3://${bucket}/deep?region=us-east-1&endpoint=${encodeURIComponent(endpoint)}`;
const credentials = { accessKeyId: 'test', secretAccessKey: 'testsecret' };
const params = (step: number) => `runs/r/train/abc/steps/${step}/params/0-64`;
const partial = (step: number, node: number) => `runs/r/train/abc/steps/${step}/partials/${node}-${node + 1}/0-64`;

const open: S3Exchange[] = [];
const exchangeAt = async (uri: string, settings = {}) => {
  const exchange = await S3Exchange.open(uri, { credentials, ...settings });
  open.push(exchange);
  return exchange;
};
afterEach(async () => void (await Promise.all(open.splice(0).map((exchange) => exchange.close()))));

s3Server.describe('S3 exchange against a real server', (binary) => {
  let server: S3Server;
  beforeAll(async () => void (server = await startVersitygw(binary)));
  afterAll(() => server.stop());

  it.each([
    [8 * mib - 1, 1],
    [8 * mib, 1],
    [8 * mib + 1, 2],
    [20 * mib + 12_345, 3],
  ])('gives back %d bytes as they were, into any room, by %d requests', async (bytes, requests) => {
    const exchange = await exchangeAt(uriOf(server.endpoint));
    const value = counted(bytes);
    await exchange.putValue(params(1), [value.subarray(0, 7), value.subarray(7)]);
    expect(Buffer.compare((await exchange.get(params(1)))!, value)).toBe(0);
    const into = new Uint8Array(bytes);
    expect(await exchange.getInto(params(1), into)).toBe(true);
    expect(Buffer.compare(into, value)).toBe(0);
    expect(exchange.charged).toEqual({ puts: 2, gets: 2 * requests }); // one LIST when it was opened
    await exchange.delete([params(1)]);
  });

  it('finds damage behind the first range, too', async () => {
    const exchange = await exchangeAt(uriOf(server.endpoint));
    await exchange.putValue(params(1), [counted(9 * mib)]);
    const damaged = await exchangeAt(uriOf(server.endpoint));
    const path = join(server.folder, 'deep/runs/r/train/abc/inbox params/1 0-64');
    const stored = readFileSync(path);
    stored[stored.length - 1] = stored[stored.length - 1]! ^ 1;
    await replaceObject(server, 'deep/runs/r/train/abc/inbox params/1 0-64', stored);
    expect(await damaged.getInto(params(1), new Uint8Array(9 * mib))).toBe(false);
    expect(await exchange.present([params(1)])).toEqual([false]);
  });

  it('asks for many names by one list call, and for few by one look each', async () => {
    const exchange = await exchangeAt(uriOf(server.endpoint));
    const many = Array.from({ length: 40 }, (_, i) => partial(3, i));
    for (const name of many.slice(0, 20)) await exchange.putValue(name, [counted(8)]);
    const before = { ...exchange.charged };
    expect(await exchange.waitFor(many, { timeoutMs: 0 })).toEqual(many.slice(20));
    expect(exchange.charged).toEqual({ puts: before.puts + 1, gets: before.gets });
    expect(await exchange.present([partial(3, 1), partial(4, 1), params(3)])).toEqual([true, false, false]);
    expect(exchange.charged).toEqual({ puts: before.puts + 1, gets: before.gets + 3 });
    await exchange.delete(many);
  });

  it('bounds what a wait costs: some twenty looks in a second, whoever waits for how many names', async () => {
    const exchange = await exchangeAt(uriOf(server.endpoint));
    const before = exchange.charged.puts;
    const names = Array.from({ length: 200 }, (_, i) => partial(5, i));
    expect(await exchange.waitFor(names, { timeoutMs: 1_000 })).toEqual(names);
    expect(exchange.charged.puts - before).toBeLessThanOrEqual(24);
    expect(exchange.charged.puts - before).toBeGreaterThan(5);
  });

  it('takes what is there by one request for each value, and asks little for what is not there yet', async () => {
    const exchange = await exchangeAt(uriOf(server.endpoint));
    const names = Array.from({ length: 7 }, (_, i) => partial(6, i));
    for (const name of names) await exchange.putValue(name, [counted(100)]);
    const before = { ...exchange.charged };
    const taken: string[] = [];
    const taking = exchange.take({
      taken: (name) => taken.push(name),
      gone: (name) => taken.push(`gone ${name}`),
      failed: (error) => taken.push(String(error)),
    });
    const wanted = (name: string) => ({ name, bytes: 100, room: (bytes: number) => new Uint8Array(bytes) });
    taking.attend(true);
    taking.want(names.map(wanted));
    for (const endsAtMs = performance.now() + 5_000; taken.length < names.length && performance.now() < endsAtMs;) await sleep(5);
    expect(taken.sort()).toEqual(names);
    expect(exchange.charged).toMatchObject({ puts: before.puts, gets: before.gets + names.length });
    taking.want([...Array.from({ length: 7 }, (_, i) => wanted(partial(7, i))), wanted(params(8)), wanted(params(9))]);
    await sleep(1_000);
    await taking.stop();
    // Some twenty looks: all nine names at first and at every fourth, two between them.
    expect(exchange.charged.gets - before.gets - names.length).toBeLessThanOrEqual(7 + 6 * 9 + 18 * 2);
    expect(exchange.charged.puts).toBe(before.puts);
    await exchange.delete(names);
  });

  it('signs bodies over a plain network, and is believed', async () => {
    // Not an address of the loopback network by name, though the system takes it for one.
    const exchange = await exchangeAt(uriOf(server.endpoint.replace('127.0.0.1', '0.0.0.0')));
    await exchange.putValue(params(7), [counted(5), counted(1_000)]);
    expect(await exchange.get(params(7))).toEqual(new Uint8Array([...counted(5), ...counted(1_000)]));
    await exchange.delete([params(7), params(8)]);
  });

  it('says of a bucket that is not there, a wrong secret and an unknown key what they are, before anything else', async () => {
    await expect(exchangeAt(uriOf(server.endpoint, 'no-such-bucket'))).rejects.toEqual(fault('StoreDenied', /there is no bucket 'no-such-bucket'/));
    const wrong = { credentials: { ...credentials, secretAccessKey: 'wrong' } };
    await expect(exchangeAt(uriOf(server.endpoint), wrong)).rejects.toEqual(fault('StoreDenied', /credentials were refused|access denied/));
    await expect(exchangeAt(uriOf(server.endpoint), wrong)).rejects.not.toThrow(/wrong/);
    const nobody = { credentials: { ...credentials, accessKeyId: 'nobody' } };
    await expect(exchangeAt(uriOf(server.endpoint), nobody)).rejects.toEqual(fault('StoreDenied', /credentials were refused|access denied/));
  });

  it('rides out a server that is killed and starts again; a waiter just finds nothing', async () => {
    const exchange = await exchangeAt(uriOf(server.endpoint));
    await server.kill();
    const waiting = exchange.waitFor([params(9)], { timeoutMs: 10_000 });
    const impatient = await exchangeAt(uriOf(server.endpoint), { patienceMs: 100 }).catch((error: unknown) => error);
    expect(impatient).toEqual(fault('StoreUnavailable', /opening the exchange at http:.*ECONNREFUSED.*check the endpoint/));
    const putting = exchange.putValue(params(9), [counted(10)]);
    await server.start();
    await putting;
    expect(await waiting).toEqual([]);
    await exchange.delete([params(9)]);
  }, 15_000);
});

describe('S3 exchange against servers that misbehave', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'smlt-tls-'));
    const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', ...files], { stdio: 'pipe' });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function listening<T extends Server>(server: T, use: (port: number) => Promise<void>): Promise<void> {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      await use((server.address() as AddressInfo).port);
    } finally {
      await Promise.all(open.splice(0).map((exchange) => exchange.close()));
      await new Promise((done) => server.close(done));
    }
  }
  type Answer = (request: IncomingMessage, response: ServerResponse) => void;
  const says =
    (status: number, code: string): Answer =>
    (_request, response) =>
      response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code><Message>said the server</Message></Error>`);
  const ok: Answer = (_request, response) => response.writeHead(200).end();
  /** Gives each request the next answer, the last one for ever; the first is for the look when opening. */
  const answering = (answers: Answer[], seen: IncomingMessage[] = []) =>
    createServer((request, response) => {
      seen.push(request);
      request.resume().on('end', () => answers[Math.min(seen.length - 1, answers.length - 1)]!(request, response));
    });

  it('says that nothing answers at the endpoint, within seconds', async () => {
    let closed = 0;
    await listening(createTcpServer(), async (port) => void (closed = port));
    const startMs = performance.now();
    await expect(exchangeAt(uriOf(`http://127.0.0.1:${closed}`))).rejects.toEqual(fault('StoreUnavailable', /ECONNREFUSED.*check the endpoint/));
    expect(performance.now() - startMs).toBeLessThan(4_000);
  });

  it('says that TLS failed: an unknown certificate, and a server that speaks none', async () => {
    const tls = createTlsServer({ key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) });
    await listening(tls, async (port) => {
      await expect(exchangeAt(uriOf(`https://127.0.0.1:${port}`))).rejects.toEqual(fault('StoreDenied', /TLS failed \(.*certificate.*\); check/));
    });
    await listening(answering([ok]), async (port) => {
      await expect(exchangeAt(uriOf(`https://127.0.0.1:${port}`))).rejects.toEqual(fault('StoreDenied', /TLS failed/));
    });
  });

  it('tries again what is slow, busy or under way elsewhere, and leaves bodies unsigned on this machine', async () => {
    const seen: IncomingMessage[] = [];
    const answers = [ok, says(503, 'SlowDown'), says(409, 'ConditionalRequestConflict'), says(500, 'InternalError'), ok];
    await listening(answering(answers, seen), async (port) => {
      const exchange = await exchangeAt(uriOf(`http://127.0.0.1:${port}`));
      await exchange.putValue(params(1), [counted(5)]);
      expect(seen.slice(1).map(({ method, headers }) => `${method} ${headers['if-none-match']}`)).toEqual(Array(4).fill('PUT *'));
      expect(seen[1]!.headers).toMatchObject({ 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'content-length': '29' });
      expect(Object.keys(seen[1]!.headers).filter((name) => name.includes('checksum'))).toEqual([]);
      expect(exchange.charged).toEqual({ puts: 5, gets: 0 });
    });
  });

  it.each([
    [403, 'AccessDenied', 'StoreDenied', /allow s3:GetObject/],
    [403, 'ExpiredToken', 'StoreDenied', /credentials were refused \(ExpiredToken\)/],
    [507, 'InsufficientStorage', 'StoreFull', /no space left in bucket 'test-bucket'/],
    [503, 'SlowDown', 'StoreUnavailable', /SlowDown/],
  ])('turns %i %s into %s in mid-run', async (status, code, expected, message) => {
    await listening(answering([ok, says(status, code)]), async (port) => {
      const exchange = await exchangeAt(uriOf(`http://127.0.0.1:${port}`), { patienceMs: 50 });
      await expect(exchange.putValue(params(1), [counted(3)])).rejects.toEqual(fault(expected, message));
      await expect(exchange.get(params(1))).rejects.toEqual(fault(expected, message));
    });
  });

  it('reads again what a connection that broke has cut', async () => {
    const { header } = exchangeFrames.frameOf([counted(100_000)]);
    const framed = Buffer.concat([header, counted(100_000)]);
    const head = { 'content-length': framed.length, 'content-range': `bytes 0-${framed.length - 1}/${framed.length}` };
    const cut: Answer = (_request, response) => response.writeHead(206, head).write(framed.subarray(0, 60_000), () => response.destroy());
    const whole: Answer = (_request, response) => response.writeHead(206, head).end(framed);
    await listening(answering([ok, cut, cut, whole]), async (port) => {
      const exchange = await exchangeAt(uriOf(`http://127.0.0.1:${port}`));
      const into = new Uint8Array(100_000);
      expect(await exchange.getInto(params(1), into)).toBe(true);
      expect(Buffer.compare(into, counted(100_000))).toBe(0);
      expect(exchange.traffic).toMatchObject({ bytesRead: framed.length, gets: 1 });
    });
  });
});

describe('signatures', () => {
  it("are those of AWS's own example", () => {
    // Source: Amazon S3's guide, "Authenticating requests: using the Authorization header", the GET object example.
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    const request = {
      method: 'GET',
      path: '/test.txt',
      query: '',
      headers: { host: 'examplebucket.s3.amazonaws.com', range: 'bytes=0-9' },
      payload: empty,
    };
    const example = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
    const { authorization } = signS3(request, { credentials: example, region: 'us-east-1' }, Date.UTC(2013, 4, 24));
    expect(authorization).toBe(
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    );
    const session = { ...example, sessionToken: 'temporary' };
    expect(signS3({ ...request, payload: UNSIGNED }, { credentials: session, region: 'us-east-1' }, 0)).toMatchObject({
      'x-amz-security-token': 'temporary',
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      'x-amz-date': '19700101T000000Z',
    });
  });
});

async function replaceObject(server: S3Server, key: string, bytes: Buffer): Promise<void> {
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const raw = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  await raw.send(new PutObjectCommand({ Bucket: server.bucket, Key: key, Body: bytes }));
  raw.destroy();
}
