/** What a place said when smlt looked there for a Temporal server: an error that names all of them needs no second try. */
export interface Attempt {
  readonly where: string;
  readonly said: string;
}

export const describeAttempts = (attempts: readonly Attempt[]): string => attempts.map(({ where, said }) => `  - ${where}: ${said}`).join('\n');

/** The last line with words of a program's output, short enough to stand in a list. */
export function lastWords(output: string, most = 300): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const last = lines.at(-1) ?? 'no output';
  return last.length > most ? `${last.slice(0, most)}...` : last;
}
