import { SmltError } from '../contracts/errors';
import { exchangeFrames, type FrameHeader } from './frame';

/**
 * Writes a value, or finds it there. True when this call has written it.
 * @param put  puts if absent; false when something is there
 * @param stored  what is there; undefined when that is nothing any more, or was corrupt and is deleted
 * @throws {SmltError} `NotDeterministic` when other bytes are stored
 */
export async function putOnce(
  name: string,
  frame: FrameHeader,
  put: () => Promise<boolean>,
  stored: () => Promise<FrameHeader | undefined>,
): Promise<boolean> {
  for (;;) {
    if (await put()) return true;
    const found = await stored();
    if (found === undefined) continue; // ours to write again
    if (found.digest !== frame.digest) throw exchangeFrames.notDeterministic(name, found, frame);
    return false;
  }
}

/** What is corrupt goes, and counts as absent: its publisher makes it again. */
export async function absentIfCorrupt<T>(look: () => Promise<T | undefined>, remove: () => Promise<unknown>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof SmltError) || error.code !== 'ObjectCorrupt') throw error;
    await remove();
    return undefined;
  }
}
