// Writes docs/errors.md from the catalogue in contracts/errors.ts. Run it after a build: `npm run build && node scripts/write-error-docs.mjs`.
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const built = join(root, 'dist', 'contracts', 'errors.js');
if (!existsSync(built)) {
  console.error(`${built} is missing: run \`npm run build\` first.`);
  process.exit(1);
}
const { errorCodes, SmltError } = createRequire(import.meta.url)(built);

const rows = errorCodes.map((code) => {
  const { retryable, help } = new SmltError(code, '');
  return `| \`${code}\` | ${retryable ? 'yes' : 'no'} | ${help} |`;
});
const page = `# Errors

The code is the same everywhere: \`SmltError.code\` in TypeScript, the failure's \`type\` in Temporal, the first word of what the CLI prints, \`error.code\` with \`--json\`.
A message says what happened, where, what was expected and how to fix it; the last column below is printed under it.
What a run can plan for (budget reached, trial pruned, stopped) is an outcome, not an error: see [architecture](architecture.md#what-can-happen).

"Tried again" says whether Temporal retries an activity that fails with this code. The number of tries is bounded.

| code | tried again | what to do |
| --- | --- | --- |
${rows.join('\n')}

This page is made from \`contracts/errors.ts\` by \`scripts/write-error-docs.mjs\`; a test compares the two.
`;
writeFileSync(join(root, 'docs', 'errors.md'), page);
