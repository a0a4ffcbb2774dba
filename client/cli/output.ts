import { styleText } from 'node:util';

/** Answers go to stdout, everything about how they came to be to stderr: `--json` has exactly one document on stdout. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const note = (text: string): void => void process.stderr.write(`${text}\n`);
export const printJson = (document: unknown): void => print(JSON.stringify(document, null, 2));

type Style = Parameters<typeof styleText>[0];
/** Colour where a person looks; never in files and pipes, nor with NO_COLOR. */
export function painter(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const colours = stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
  return (style, text) => (colours ? styleText(style, text) : text);
}
export type Paint = ReturnType<typeof painter>;
