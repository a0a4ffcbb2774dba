import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { AnswerReader, type HttpAnswer, type Room } from '../../storage/http/answer-reader';
import { HttpPool } from '../../storage/http/http-pool';

const words = (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
const counted = (bytes: number) => Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 12)) % 251));

describe('an answer of HTTP', () => {
  /** Reads one that comes in these pieces. */
  function read(pieces: readonly Buffer[], { method = 'GET', room }: { method?: string; room?: Room | undefined } = {}): HttpAnswer | undefined {
    const reader = new AnswerReader();
    reader.expect(method, room);
    let answer: HttpAnswer | undefined;
    for (const piece of pieces)
      for (let at = 0; at < piece.length;) {
        const buffer = reader.nextBuffer();
        const count = piece.copy(buffer, 0, at);
        at += count;
        answer = reader.received(count) ?? answer;
      }
    return answer ?? reader.ended();
  }
  const inTwo = (bytes: Buffer) => Array.from({ length: bytes.length - 1 }, (_, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]);

  it.each([
    ['with its length', 'HTTP/1.1 200 OK\nContent-Length: 5\nX-Some:  thing \n\nhello', 'hello'],
    ['in chunks', 'HTTP/1.1 404 Not Found\nTransfer-Encoding: chunked\n\n3;ext=1\nhel\n2\nlo\n0\nTrailer: 1\n\n', 'hello'],
    ['behind a 100 Continue', 'HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 5\n\nhello', 'hello'],
    ['to the end of the connection', 'HTTP/1.0 200 OK\n\nhello', 'hello'],
    ['without a body', 'HTTP/1.1 204 No Content\n\n', ''],
  ])('is the same in one piece, in any two, and byte by byte: %s', (_kind, text, expected) => {
    const bytes = words(text);
    const whole = read([bytes])!;
    expect(whole.words).toBe(expected);
    for (const pieces of [...inTwo(bytes), [...bytes].map((byte) => Buffer.from([byte]))]) expect(read(pieces)).toEqual(whole);
  });

  it('has no body when HEAD asked for it, whatever its length says', () => {
    expect(read([words('HTTP/1.1 200 OK\nContent-Length: 5000\n\n')], { method: 'HEAD' })).toMatchObject({ status: 200, words: '' });
  });

  it('goes to its room and nowhere else, however it is cut', () => {
    const body = counted(200_000);
    const bytes = Buffer.concat([words(`HTTP/1.1 206 Partial Content\nContent-Length: ${body.length}\n\n`), body]);
    for (const cut of [1, 20, 60, 100, 65_536, 150_000, bytes.length - 1]) {
      const memory = Buffer.alloc(body.length + 20);
      const room: Room = (head, length) => {
        expect([head.status, length]).toEqual([206, body.length]);
        return [memory.subarray(10, 34), memory.subarray(34, 34), memory.subarray(34, 10 + length)];
      };
      expect(read([bytes.subarray(0, cut), bytes.subarray(cut)], { room })).toMatchObject({ status: 206, words: '' });
      expect(Buffer.compare(memory, Buffer.concat([Buffer.alloc(10), body, Buffer.alloc(10)]))).toBe(0);
    }
    const refusal = words('HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno');
    expect(read([refusal], { room: () => [Buffer.alloc(2)] })).toMatchObject({ status: 404, words: 'no' });
  });

  it.each([
    ['no status', 'HELLO\n\n', /expected an answer of HTTP\/1.1, got "HELLO"/],
    ['two lengths', 'HTTP/1.1 200 OK\nContent-Length: 5, 5\n\n', /expected a content-length/],
    ['a chunk without length', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nxyz\n', /expected the length of a chunk, got "xyz"/],
    ['a chunk that is longer than it says', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nab\n', /expected the end of a chunk/],
    ['a head without end', `HTTP/1.1 200 OK\nX: ${'x'.repeat(70_000)}`, /a head of at most 65536 bytes/],
    ['bytes behind its end', 'HTTP/1.1 200 OK\nContent-Length: 1\n\nab', /what nobody asked/],
  ])('is refused when it has %s', (_kind, text, message) => {
    expect(() => read([words(text)])).toThrow(message);
  });

  it.each(['Content-Length: 5\n\nhello', 'Transfer-Encoding: chunked\n\n5\nhello\n0\n\n'])(
    'is refused when its room has another length: %s',
    (text) => {
      expect(() => read([words(`HTTP/1.1 200 OK\n${text}`)], { room: () => [Buffer.alloc(4)] })).toThrow(/given other room|says its length/);
    },
  );
});

describe('a pool of connections', () => {
  let server: Server;
  let pool: HttpPool;
  const sockets = new Set<Socket>();
  let connections = 0;
  async function serve(made: Server, most = 2, silenceMs = 5_000): Promise<void> {
    server = made.on('connection', (socket) => {
      connections++;
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    pool = new HttpPool({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, secure: false, silenceMs }, most);
  }
  const web = (answer: RequestListener, ...more: [number?, number?]) => serve(createServer(answer), ...more);
  const get = (path: string, more: { signal?: AbortSignal; room?: Room } = {}) =>
    pool.send({ method: 'GET', head: `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`, body: [], ...more });
  const put = (body: readonly Uint8Array[]) => {
    const bytes = body.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return pool.send({ method: 'PUT', head: `PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes}\r\n\r\n`, body });
  };
  beforeEach(() => (connections = 0));
  afterEach(async () => {
    pool.close();
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((done) => server.close(done));
  });

  it('uses a connection again, and makes no more than it may', async () => {
    await web((request, response) => void setTimeout(() => response.end(request.url), 5));
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => get(`/${i}`)));
    expect(answers.map((answer) => answer.words)).toEqual(Array.from({ length: 20 }, (_, i) => `/${i}`));
    expect(connections).toBe(2);
  });

  it('sends views as one body, and reads megabytes into the memory of who asked', async () => {
    const value = counted(3_000_001);
    const stored: Buffer[] = [];
    await web((request, response) => {
      if (request.method === 'GET') return void response.writeHead(200, { 'content-length': value.length }).end(Buffer.concat(stored));
      request.on('data', (bytes: Buffer) => stored.push(bytes)).on('end', () => response.end());
    });
    expect((await put([value.subarray(0, 24), value.subarray(24, 24), value.subarray(24)])).status).toBe(200);
    const into = Buffer.alloc(value.length);
    await get('/', { room: () => [into.subarray(0, 24), into.subarray(24)] });
    expect(Buffer.compare(into, value)).toBe(0);
    expect(connections).toBe(1);
  });

  it('makes another connection where the server ends one, and where it answers before a body is sent', async () => {
    await web((request, response) => {
      if (request.method === 'GET') return void response.writeHead(200, { connection: 'close' }).end('bye');
      response.writeHead(412).end('taken'); // the body is never read
    });
    expect(await get('/')).toMatchObject({ words: 'bye' });
    expect(await put([Buffer.alloc(20_000_000)])).toMatchObject({ status: 412, words: 'taken' });
    expect(await get('/')).toMatchObject({ words: 'bye' });
    expect(connections).toBe(3);
  });

  it('says that a connection broke, or was silent for too long, and goes on with another one', async () => {
    await serve(
      createTcpServer((socket) => {
        const answers = [
          () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'),
          () => undefined,
          () => socket.write('HTTP/1.1 204 \r\n\r\n'),
        ];
        socket.on('data', answers[connections]!);
      }),
      1,
      100,
    );
    await expect(get('/')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect(get('/')).rejects.toThrow('no answer for 100 ms');
    expect(await get('/')).toMatchObject({ status: 204 });
  });

  it("ends a request, and one that waits for its turn, with the signal's reason", async () => {
    await web(() => undefined, 1);
    const asked = new AbortController();
    const waits = new AbortController();
    const first = get('/1', { signal: asked.signal });
    const second = get('/2', { signal: waits.signal });
    const third = get('/3', { signal: asked.signal });
    waits.abort(new Error('no longer needed'));
    await expect(second).rejects.toThrow('no longer needed');
    asked.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    await expect(third).rejects.toThrow('enough');
  });
});
