import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCodes, SmltError } from '../../contracts/errors';

describe('docs/errors.md', () => {
  const page = readFileSync(join(__dirname, '../../docs/errors.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (yes|no) \| (.+) \|$/gm)].map(([, code, retried, help]) => ({ code, retried, help }));

  it('lists every error of the catalogue with its own words, and no other (else: npm run build && node scripts/write-error-docs.mjs)', () => {
    const expected = errorCodes.map((code) => {
      const { retryable, help } = new SmltError(code, '');
      return { code, retried: retryable ? 'yes' : 'no', help };
    });
    expect(rows).toEqual(expected);
  });
});
