// The next line on stdin; undefined at its end. Blocks until it is there, as Python's readline does: nothing else runs meanwhile.
import { readSync } from 'node:fs';

const buffer = Buffer.alloc(4_096);
let rest = '';

export function nextLine() {
  for (let cut = rest.indexOf('\n'); ; cut = rest.indexOf('\n')) {
    if (cut >= 0) {
      const line = rest.slice(0, cut);
      rest = rest.slice(cut + 1);
      return line;
    }
    const bytes = readSync(0, buffer);
    if (bytes === 0) return undefined;
    rest += buffer.toString('latin1', 0, bytes);
  }
}
