import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import { decodeNpy } from '../training/npy';

type Nested = number | Nested[];
const Nested: z.ZodType<Nested> = z.lazy(() => z.union([z.number(), z.array(Nested)]));
const Document = z.union([z.array(Nested).min(1), z.object({ inputs: z.array(Nested).min(1) }).transform(({ inputs }) => inputs)]);

/** Samples as flat rows, from an .npy array `[n, ...]` or JSON: a list of samples, one sample, or `{ "inputs": [...] }`. */
export async function readSamplesFile(path: string): Promise<number[][]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new SmltError('InvalidSpec', `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`, { cause: error }); // prettier-ignore
  }
  if (path.endsWith('.npy')) {
    const { shape, data } = decodeNpy(bytes);
    const samples = shape.length > 1 ? shape[0]! : 1;
    const each = data.length / samples;
    return Array.from({ length: samples }, (_, i) => [...data.subarray(i * each, (i + 1) * each)]);
  }
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString());
  } catch (error) {
    throw new SmltError('InvalidSpec', `${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = Document.safeParse(document);
  if (!parsed.success) throw new SmltError('InvalidSpec', `${path}: expected a list of samples, each a list of numbers`);
  const [first] = parsed.data;
  return typeof first === 'number' ? [flat(parsed.data)] : parsed.data.map((sample) => flat([sample]));
}

const flat = (nested: Nested[]): number[] => (nested as unknown[]).flat(Infinity) as number[];
