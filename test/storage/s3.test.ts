import type * as S3 from '@aws-sdk/client-s3';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '../../storage/digest';
import { S3ObjectStore } from '../../storage/s3/s3-object-store';
import { s3Server, startVersitygw, type S3Server } from '../support/versitygw';

const filled = (byte: number, bytes = 1_000) => new Uint8Array(bytes).fill(byte);
const fault = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });
const uriOf = (endpoint: string, bucket = 'test-bucket') => `s3://${bucket}/deep?endpoint=${encodeURIComponent(endpoint)}`;
const credentials = { accessKeyId: 'test', secretAccessKey: 'testsecret' };

/** Every verb must give the same clear words: what reaches the user is whichever call came first. */
const verbs: readonly (readonly [string, (store: S3ObjectStore) => Promise<unknown>])[] = [
  ['putValue', (store) => store.putValue('a', filled(1))],
  ['decide', (store) => store.decide('a', filled(1))],
  ['replace', (store) => store.replace('a', filled(1))],
  ['get', (store) => store.get('a')],
  ['head', (store) => store.head('a')],
  ['list', (store) => store.list('')],
  ['delete', (store) => store.delete(['a'])],
];

s3Server.describe('S3 object store against a real server', (binary) => {
  let server: S3Server;
  beforeAll(async () => void (server = await startVersitygw(binary)));
  afterAll(() => server.stop());

  it.each(verbs)('says of a missing bucket what it is called, in %s', async (_verb, use) => {
    const store = new S3ObjectStore(uriOf(server.endpoint, 'no-such-bucket'), { credentials });
    await expect(use(store)).rejects.toEqual(fault('StoreDenied', /there is no bucket 'no-such-bucket'; create it/));
  });

  it.each(verbs)('says that a wrong secret is refused, in %s', async (_verb, use) => {
    const store = new S3ObjectStore(uriOf(server.endpoint), { credentials: { ...credentials, secretAccessKey: 'wrong' } });
    await expect(use(store)).rejects.toEqual(fault('StoreDenied', /127\.0\.0\.1.*(credentials were refused|access denied)/));
    await expect(use(store)).rejects.not.toThrow(/wrong/);
  });

  it.each(verbs)('says that an unknown key is refused, in %s', async (_verb, use) => {
    const store = new S3ObjectStore(uriOf(server.endpoint), { credentials: { ...credentials, accessKeyId: 'nobody' } });
    await expect(use(store)).rejects.toEqual(fault('StoreDenied', /credentials were refused|access denied/));
  });

  it('counts what S3 would charge for, as the server has it in its log', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'smlt-s3-log-'));
    const accessLog = join(folder, 'access');
    const watched = await startVersitygw(binary, { accessLog });
    try {
      const store = new S3ObjectStore(uriOf(watched.endpoint), { credentials });
      await store.putValue('a', filled(1));
      await store.putValue('a', filled(1)); // refused, and then looked at
      await store.decide('a', filled(2)); // refused, and then read
      await store.getInto('a', filled(0));
      for (const name of ['a', 'none']) await store.head(name);
      await store.list('');
      await store.delete(['a']);
      const operations = readFileSync(accessLog, 'utf8').match(/ s3_\w+ /g)!;
      const times = (kind: RegExp) => operations.filter((operation) => kind.test(operation)).length;
      const puts = times(/PutObject|List/);
      expect(store.charged).toMatchObject({ puts, gets: times(/GetObject|HeadObject/) });
      expect(store.charged.puts).toBe(5); // three writes, a list, and one to see that the bucket is there
    } finally {
      await watched.stop();
      rmSync(folder, { recursive: true });
    }
  });

  it('keeps two prefixes of one bucket apart', async () => {
    const open = (prefix: string) => new S3ObjectStore(`s3://test-bucket/${prefix}?endpoint=${encodeURIComponent(server.endpoint)}`, { credentials });
    await open('one').putValue('a', filled(1));
    await open('one-more').putValue('a', filled(2));
    expect(await open('one').list('')).toEqual(['a']);
    await open('one').delete(['a']);
    expect(await open('one-more').get('a')).toEqual(filled(2));
  });

  it('knows a value whose metadata a tool has dropped by its frame', async () => {
    const { CopyObjectCommand, S3Client } = jest.requireActual<typeof S3>('@aws-sdk/client-s3');
    const store = new S3ObjectStore(uriOf(server.endpoint), { credentials });
    await store.putValue('tagged', filled(1));
    const raw = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
    await raw.send(
      new CopyObjectCommand({
        Bucket: 'test-bucket',
        Key: 'deep/bare',
        CopySource: 'test-bucket/deep/tagged',
        MetadataDirective: 'REPLACE',
        Metadata: {},
      }),
    );
    raw.destroy();
    expect(await store.head('bare')).toEqual({ name: 'bare', bytes: 1_000, sha256: sha256Hex(filled(1)) });
    await store.putValue('bare', filled(1));
    await expect(store.putValue('bare', filled(2))).rejects.toEqual(fault('NotDeterministic', /deep\/bare/));
  });

  it('stops a request under way when its caller gives up', async () => {
    const store = new S3ObjectStore(uriOf(server.endpoint), { credentials });
    const controller = new AbortController();
    const writing = store.putValue('big', filled(1, 40_000_000), controller.signal);
    setTimeout(() => controller.abort(new Error('given up')), 1);
    await expect(writing).rejects.toThrow('given up');
    expect(await store.head('big')).toBeUndefined();
  });
});

describe('S3 object store without a server', () => {
  it.each(verbs)('says that nothing answers at the endpoint, in %s', async (_verb, use) => {
    const closed = createTcpServer();
    await new Promise<void>((done) => closed.listen(0, '127.0.0.1', done));
    const { port } = closed.address() as AddressInfo;
    await new Promise((done) => closed.close(done));
    const store = new S3ObjectStore(uriOf(`http://127.0.0.1:${port}`), { credentials, maxAttempts: 1 });
    await expect(use(store)).rejects.toEqual(
      fault('StoreUnavailable', new RegExp(`at http://127.0.0.1:${port}: .*ECONNREFUSED.*check the endpoint`)),
    );
  });

  /** A server that gives each request the next answer; what real servers do seldom, such as 409 and 503. */
  async function withAnswers(answers: readonly (readonly [number, string])[], use: (store: S3ObjectStore, seen: string[]) => Promise<void>) {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      const [status, code] = answers[Math.min(seen.length, answers.length - 1)] ?? [500, ''];
      seen.push(`${request.method} ${request.headers['if-none-match'] ?? ''}`.trim());
      request.resume().on('end', () => {
        response.writeHead(status, { 'content-type': 'application/xml', etag: '"x"' });
        response.end(status < 300 ? '' : `<Error><Code>${code}</Code><Message>said the server</Message></Error>`);
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      await use(new S3ObjectStore(uriOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), { credentials, maxAttempts: 1 }), seen);
    } finally {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  it('tries again when another conditional write is under way, and has then written once', async () => {
    const conflict = [409, 'ConditionalRequestConflict'] as const;
    await withAnswers([conflict, conflict, [200, '']], async (store, seen) => {
      await store.putValue('a', filled(1));
      expect(seen).toEqual(['PUT *', 'PUT *', 'PUT *']);
    });
  });

  it.each([
    [503, 'SlowDown', 'StoreUnavailable', /SlowDown/],
    [500, 'InternalError', 'StoreUnavailable', /said the server/],
    [403, 'AccessDenied', 'StoreDenied', /allow s3:GetObject/],
    [403, 'ExpiredToken', 'StoreDenied', /credentials were refused \(ExpiredToken\)/],
    [403, 'RequestTimeTooSkewed', 'StoreDenied', /clock is wrong/],
    [400, 'AuthorizationHeaderMalformed', 'StoreDenied', /another region/],
    [507, 'InsufficientStorage', 'StoreFull', /no space left in bucket 'test-bucket'/],
  ])('turns %i %s into %s', async (status, code, expected, message) => {
    await withAnswers([[status, code]], async (store) => {
      await expect(store.putValue('a', filled(1))).rejects.toEqual(fault(expected, message));
      await expect(store.get('a')).rejects.toEqual(fault(expected, message));
    });
  });
});
