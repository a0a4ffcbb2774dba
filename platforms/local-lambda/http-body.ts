import type { IncomingMessage } from 'node:http';

/** Reads a request's body, but keeps no more than the limit. Reads on to the end, so that the answer reaches a client that is still sending. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | 'tooLarge'> {
  return new Promise((resolve, reject) => {
    let parts: Buffer[] = [];
    let length = 0;
    request.on('data', (part: Buffer) => {
      length += part.length;
      if (length > maxBytes) parts = [];
      else parts.push(part);
    });
    request.on('end', () => resolve(length > maxBytes ? 'tooLarge' : Buffer.concat(parts)));
    request.on('error', reject);
    request.on('close', () => reject(new Error('the client went away before its request was whole')));
  });
}
