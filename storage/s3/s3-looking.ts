import { pathOfName } from '../inbox-paths';

/** S3 charges for a LIST what it charges for 12 HEADs: up to so many names of a folder are asked for one by one. */
const headsPerList = 12;
const looksPerWhole = 4;
const pause = { first: 5, longest: 400, share: 0.25 };

/** Names that one look asks for together. */
export interface LookGroup {
  /** What to list, below the exchange's own prefix; undefined: ask for each name. */
  readonly keyPrefix: string | undefined;
  readonly names: readonly string[];
}

/** The cheapest requests that answer for all of these names. @throws {SmltError} `InvalidName` */
export function groupsOf(names: readonly string[]): LookGroup[] {
  const folders = new Map<string, Map<string, string>>();
  for (const name of names) {
    const { folder, file } = pathOfName(name);
    folders.set(folder, (folders.get(folder) ?? new Map<string, string>()).set(file, name));
  }
  return [...folders].map(([folder, files]) => ({
    keyPrefix: files.size <= headsPerList ? undefined : `${folder === '' ? '' : `${folder}/`}${commonPrefix([...files.keys()])}`,
    names: [...files.values()],
  }));
}

/**
 * What a wait asks for at its n-th look: what is in the first name's folder, and every fourth time, the first included, all.
 * A worker waits for partial sums and then for the params that follow from them: the second half would mostly ask in vain.
 */
export function groupsOfLook(look: number, names: readonly string[]): LookGroup[] {
  const groups = groupsOf(names);
  return look % looksPerWhole === 0 ? groups : groups.slice(0, 1);
}

/**
 * How long to wait before the next look, after so long without news: a quarter of it, so nobody is woken later than a
 * quarter of what was waited for anyway, and the looks of a second are about 20, those of a minute 170.
 */
export function pauseAfterMs(waitedMs: number): number {
  return Math.min(pause.longest, Math.max(pause.first, pause.share * waitedMs));
}

function commonPrefix(texts: readonly string[]): string {
  let prefix = texts[0] ?? '';
  for (const text of texts) while (!text.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}
