import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { isErrorCode, SmltError } from '../../contracts/errors';

const Refusal = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
const PeakRss = z.object({ peakRssMib: z.number() });

export interface Call {
  readonly call: string;
  readonly event: unknown;
  readonly deadlineAtMs: number;
}

/**
 * The socket to the Python process that runs the program: one JSON object a line. Python calls, this side asks until it
 * answers the call. One question at a time; its end is the end of this process (python/smlt/engine.py).
 */
export class Channel {
  /** The most that Python has resided in so far. */
  peakRssMib = 0;
  readonly #socket: Socket;
  #waiting: ((line: string) => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(fd: number, onCall: (call: Call) => void) {
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on('error', () => process.exit(1)).on('close', () => process.exit(1));
    createInterface({ input: this.#socket, crlfDelay: Infinity }).on('line', (line) => {
      const answered = this.#waiting;
      this.#waiting = undefined;
      if (answered) answered(line);
      else onCall(JSON.parse(line) as Call);
    });
  }

  /** @throws {SmltError} what Python says is wrong, under the code that it gives */
  async ask<S extends z.ZodType>(question: { ask: string; [field: string]: unknown }, schema: S): Promise<z.output<S>> {
    const asked = this.#last.then(
      () =>
        new Promise<string>((resolve) => {
          this.#waiting = resolve;
          this.send(question);
        }),
    );
    this.#last = asked;
    const answer = JSON.parse(await asked) as unknown;
    const refusal = Refusal.safeParse(answer);
    if (refusal.success) {
      const { code, message } = refusal.data.error;
      throw new SmltError(isErrorCode(code) ? code : 'ProgramFailed', message);
    }
    this.peakRssMib = PeakRss.parse(answer).peakRssMib;
    return schema.parse(answer);
  }

  send(message: unknown): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }
}
