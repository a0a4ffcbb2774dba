/** What an answer begins with. */
export interface HttpHead {
  readonly status: number;
  /** Names in lower case; of a header that is there twice, the last one. */
  readonly headers: Readonly<Record<string, string>>;
}
export interface HttpAnswer extends HttpHead {
  /** Empty when the bytes went to their room. */
  readonly words: string;
}
/** Asked, when its length is known, where the bytes of a body go: views that are filled one after the other. */
export type Room = (head: HttpHead, bytes: number) => readonly Uint8Array[];

/** Below this a copy out of the common buffer is cheaper than a system call of its own. */
const directFromBytes = 32 * 1024;
const mostHeadBytes = 64 * 1024;
/** A body that nobody has given room for is words: a listing or an error. */
const mostWordsBytes = 16 * 2 ** 20;
/** What is read into it is used before anything else is read: one is enough for all connections. */
const common = Buffer.allocUnsafeSlow(64 * 1024);
const nothing = Buffer.alloc(0);

type State = 'idle' | 'head' | 'body' | 'words' | 'chunk size' | 'chunk' | 'chunk end' | 'trailer' | 'to the end';

/**
 * Reads one HTTP/1.1 answer after the other, as they come in pieces; the bodies that were given room go from the socket
 * straight to where they stay. Source: RFC 9112, sections 4 to 7.
 */
export class AnswerReader {
  private state: State = 'idle';
  private method = '';
  private room: Room | undefined;
  private head: HttpHead = { status: 0, headers: {} };
  private views: readonly Uint8Array[] = [];
  private view = 0;
  private offset = 0;
  /** Bytes of the body, or of a chunk of it, that are still to come. */
  private left = 0;
  private words: Buffer[] = [];
  private wordsBytes = 0;
  /** The beginning of a line, or of a head, whose end is still to come. */
  private held = nothing;
  private direct = false;

  /** The next answer is one to this method. */
  expect(method: string, room: Room | undefined): void {
    Object.assign(this, { state: 'head', method, room, words: [], wordsBytes: 0, held: nothing });
  }

  /** Where the next bytes may be written. */
  nextBuffer(): Uint8Array {
    const view = this.state === 'body' ? this.views[this.view] : undefined;
    this.direct = view !== undefined && view.byteLength - this.offset >= directFromBytes;
    return this.direct ? view!.subarray(this.offset) : common;
  }

  /** So many bytes were written there. The answer, when it is complete. @throws what is no answer, or one without end */
  received(bytes: number): HttpAnswer | undefined {
    if (this.direct) {
      this.advance(bytes);
      return this.left === 0 ? this.finish() : undefined;
    }
    const came = common.subarray(0, bytes);
    const input = this.held.length === 0 ? came : Buffer.concat([this.held, came]);
    this.held = nothing;
    for (let at = 0; ;) {
      const taken = this.take(input.subarray(at));
      if (taken === 'more') {
        this.held = Buffer.from(input.subarray(at));
        if (this.held.length > mostHeadBytes) throw new Error(`expected a head of at most ${mostHeadBytes} bytes`);
        return undefined;
      }
      at += taken;
      if (this.state === 'idle') {
        if (at < input.length) throw new Error('the server answered what nobody asked');
        return { ...this.head, words: Buffer.concat(this.words).toString('utf8') };
      }
      if (at === input.length) return undefined;
    }
  }

  /** The connection has ended. The answer, when that is what it ends with. */
  ended(): HttpAnswer | undefined {
    return this.state === 'to the end' ? this.finish() : undefined;
  }

  /** Takes the beginning of the input; says how much, or that the rest must come first. */
  private take(input: Buffer): number | 'more' {
    switch (this.state) {
      case 'idle':
        throw new Error('the server answered what nobody asked');
      case 'head': {
        const end = input.indexOf('\r\n\r\n');
        if (end < 0) return 'more';
        this.begin(headOf(input.toString('latin1', 0, end)));
        return end + 4;
      }
      case 'body': {
        const taken = Math.min(this.left, input.length);
        this.copy(input.subarray(0, taken));
        if (this.left === 0) this.state = 'idle';
        return taken;
      }
      case 'words':
      case 'chunk': {
        const taken = Math.min(this.left, input.length);
        this.keep(input.subarray(0, taken));
        this.left -= taken;
        if (this.left === 0) this.state = this.state === 'chunk' ? 'chunk end' : 'idle';
        return taken;
      }
      case 'to the end':
        this.keep(input);
        return input.length;
      case 'chunk size':
      case 'chunk end':
      case 'trailer': {
        const end = input.indexOf('\n');
        if (end < 0) return 'more';
        this.takeLine(input.toString('latin1', 0, end).trim());
        return end + 1;
      }
    }
  }

  private takeLine(line: string): void {
    if (this.state === 'trailer') {
      if (line === '') this.state = 'idle';
    } else if (this.state === 'chunk end') {
      if (line !== '') throw new Error('expected the end of a chunk');
      this.state = 'chunk size';
    } else {
      const size = /^[0-9a-f]{1,8}(?=$|[\s;])/i.exec(line);
      if (size === null) throw new Error(`expected the length of a chunk, got ${JSON.stringify(line.slice(0, 60))}`);
      this.left = Number.parseInt(size[0], 16);
      this.state = this.left === 0 ? 'trailer' : 'chunk';
    }
  }

  private begin(head: HttpHead): void {
    if (head.status < 200) return; // such as 100 Continue: the answer is still to come
    this.head = head;
    const { status, headers } = head;
    const length = headers['content-length'];
    if (this.method === 'HEAD' || status === 204 || status === 304) this.state = 'idle';
    else if (/\bchunked\b/i.test(headers['transfer-encoding'] ?? '')) this.state = 'chunk size';
    else if (length === undefined) this.state = 'to the end';
    else {
      if (!/^\d+$/.test(length)) throw new Error(`expected a content-length, got ${JSON.stringify(length.slice(0, 60))}`);
      this.left = Number(length);
      this.state = this.left === 0 ? 'idle' : 'words';
    }
    if (this.room === undefined || status >= 300) return;
    if (this.state !== 'words' && this.left !== 0) throw new Error('expected an answer that says its length');
    this.views = this.room(head, this.left);
    if (this.views.reduce((sum, { byteLength }) => sum + byteLength, 0) !== this.left)
      throw new Error(`an answer of ${this.left} bytes was given other room`);
    [this.view, this.offset] = [0, 0];
    if (this.left > 0) this.state = 'body';
  }

  /** Each byte is copied once at most, from the common buffer to where it stays. */
  private copy(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const view = this.views[this.view]!;
      const count = Math.min(view.byteLength - this.offset, bytes.length - at);
      view.set(bytes.subarray(at, at + count), this.offset);
      at += count;
      this.advance(count);
    }
  }

  private advance(bytes: number): void {
    this.left -= bytes;
    this.offset += bytes;
    while (this.view < this.views.length && this.offset === this.views[this.view]!.byteLength) {
      this.view++;
      this.offset = 0;
    }
  }

  private keep(bytes: Buffer): void {
    this.wordsBytes += bytes.length;
    if (this.wordsBytes <= mostWordsBytes) this.words.push(Buffer.from(bytes));
  }

  private finish(): HttpAnswer {
    this.state = 'idle';
    this.views = [];
    return { ...this.head, words: Buffer.concat(this.words).toString('utf8') };
  }
}

/** @throws when that is no head of HTTP */
function headOf(text: string): HttpHead {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})\b/.exec(first)?.[1];
  if (status === undefined) throw new Error(`expected an answer of HTTP/1.1, got ${JSON.stringify(first.slice(0, 60))}`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(status), headers };
}
