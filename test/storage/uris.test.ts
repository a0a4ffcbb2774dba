import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openExchange, openObjectStore } from '../../storage/index';
import { parseS3Uri } from '../../storage/s3/s3-uri';

const invalid = (message: RegExp) => expect.objectContaining({ code: 'InvalidSpec', message: expect.stringMatching(message) });
const folder = mkdtempSync(join(tmpdir(), 'smlt-uris-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('URIs of stores', () => {
  it.each(['', 'data', '/data', 'C:\\data', 'gs://bucket', 'FILE:///x', 'constructor:', 'tmpfs:'])(
    'refuses %j as an object store and names what there is',
    async (uri) => {
      await expect(openObjectStore(uri)).rejects.toEqual(invalid(/expected a URI that begins with file: or s3:/));
    },
  );

  it.each(['', 'data', 'memcached://host', 'file:///x', '__proto__:'])('refuses %j as an exchange and names what there is', async (uri) => {
    await expect(openExchange(uri)).rejects.toEqual(invalid(/expected a URI that begins with tmpfs:/));
  });

  it.each(['file:', 'file:data', 'file://host/data', 'file:///', 'file:///x?y=1', 'file:///x#y', 'file:///%2f..'])(
    'refuses %j: no plain absolute path',
    async (uri) => {
      await expect(openObjectStore(uri)).rejects.toEqual(invalid(/expected file:\/\/\/path\/to\/folder/));
    },
  );

  it.each(['tmpfs:data', 'tmpfs://host/data', 'tmpfs:///'])('refuses %j: neither tmpfs: alone nor an absolute path', async (uri) => {
    await expect(openExchange(uri)).rejects.toEqual(invalid(/expected tmpfs: or tmpfs:\/\/\/path/));
  });

  it('opens a folder whose name needs escapes, and states a URI that opens it again', async () => {
    const path = join(folder, 'with space, %, # and ü');
    const store = await openObjectStore(`${pathToFileURL(path).href}/`);
    await store.putValue('a', new Uint8Array([1]));
    expect(store.uri).toBe(pathToFileURL(path).href);
    expect(await (await openObjectStore(store.uri)).list('')).toEqual(['a']);
    const exchange = await openExchange(pathToFileURL(path).href.replace('file:', 'tmpfs:'));
    await exchange.putValue('b', [new Uint8Array([1])]);
    expect(await (await openExchange(exchange.uri)).list('b')).toEqual(['b']);
  });

  it('says where a file lies in the way of a folder', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const path of [file, join(file, 'below')]) {
      const denied = expect.objectContaining({ code: 'StoreDenied', message: expect.stringContaining('found a file in the way') });
      await expect(openObjectStore(pathToFileURL(path).href)).rejects.toEqual(denied);
      await expect(openExchange(pathToFileURL(path).href.replace('file:', 'tmpfs:'))).rejects.toEqual(denied);
    }
  });

  it('opens an exchange of this user in shared memory when no path is given', async () => {
    const exchange = await openExchange('tmpfs:');
    expect(exchange.uri).toMatch(/^tmpfs:\/\/\/.*smlt-/);
    await exchange.close();
  });

  it('reads bucket, prefix, endpoint and region out of an S3 URI', () => {
    expect(parseS3Uri('s3://my-bucket')).toEqual({ bucket: 'my-bucket', prefix: '', endpoint: undefined, region: undefined });
    expect(parseS3Uri('s3://b.1/some/deep/?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-west-1')).toEqual({
      bucket: 'b.1',
      prefix: 'some/deep/',
      endpoint: 'http://127.0.0.1:9000',
      region: 'eu-west-1',
    });
  });

  it.each([
    ['s3:', /bucket name/],
    ['s3://', /bucket name/],
    ['s3://UP_per', /bucket name/],
    ['s3://bucket/x?endpoint=localhost:9000', /no http or https URL/],
    ['s3://bucket/x?acl=public', /unknown option "acl"/],
    ['s3://key:secret@bucket/x', /AWS_ACCESS_KEY_ID/],
  ])('refuses %s', async (uri, message) => {
    await expect(openObjectStore(uri)).rejects.toEqual(invalid(message));
  });

  it('never repeats a secret that was written into a URI', async () => {
    await expect(openObjectStore('s3://key:hush@bucket/x')).rejects.not.toThrow(/hush/);
  });

  it('keeps an S3 prefix inside its bucket', () => {
    expect(() => parseS3Uri('s3://bucket/a/%2e%2e/b%00')).toThrow(/object name/);
  });
});
