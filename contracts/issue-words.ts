import type { z } from 'zod';

/** Further apart than this, a word is no slip of another. */
const MOST_SLIPS = 2;

/** Words for what zod says in its own; a schema's own words come first. */
export const issueWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'invalid_type' && issue.input === undefined) return `missing; expected ${withArticle(issue.expected)}`;
  if (issue.code !== 'unrecognized_keys') return undefined;
  const known = knownKeys(issue.inst);
  return issue.keys.map((key) => `unknown field "${key}"${suggestion(key, known)}`).join('; ');
};

const withArticle = (type: string): string => `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;

function knownKeys(schema: unknown): readonly string[] {
  const { shape, keyType } = (schema as { _zod?: { def?: { shape?: object; keyType?: z.core.$ZodType } } } | undefined)?._zod?.def ?? {};
  return shape ? Object.keys(shape) : [...(keyType?._zod.values ?? [])].map(String);
}

function suggestion(key: string, known: readonly string[]): string {
  const [nearest] = known.map((name) => ({ name, slips: slipsBetween(key.toLowerCase(), name.toLowerCase()) })).sort((a, b) => a.slips - b.slips);
  if (!nearest) return '';
  return nearest.slips <= MOST_SLIPS ? `; did you mean "${nearest.name}"?` : `; expected one of ${known.join(', ')}`;
}

/** Levenshtein's distance: letters to insert, delete or replace. */
function slipsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (b[j] === letter ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
