import { SmltError } from '../../contracts/errors';
import { bytesOf } from '../bytes';
import { Detour, type Turn } from './turn';

/**
 * Puts a value under its name. Where the job's reproducibility is `values`, a host with other bits takes over what is
 * stored, so that memory and store never differ; `view` changes then.
 * @param adopt  takes over what is stored; left out: into `view`
 */
export async function publish(
  turn: Turn,
  name: string,
  view: ArrayBufferView,
  adopt = (stored: Uint8Array): void => bytesOf(view).set(stored),
): Promise<void> {
  const { exchange, plan } = turn;
  try {
    await exchange.putValue(name, [bytesOf(view)]);
  } catch (error) {
    if (!adopts(error, plan)) throw error;
    const stored = await exchange.get(name);
    if (!stored) throw new Detour({ kind: 'resolve' });
    adopt(stored);
    turn.adopted++;
  }
}

/** The same for the object store. */
export async function keep(turn: Turn, name: string, view: ArrayBufferView): Promise<void> {
  const { store, plan } = turn;
  try {
    await store.putValue(name, bytesOf(view));
  } catch (error) {
    if (!adopts(error, plan)) throw error;
    bytesOf(view).set(await store.get(name));
    turn.adopted++;
  }
}

const adopts = (error: unknown, { reproducibility }: Turn['plan']) =>
  reproducibility === 'values' && error instanceof SmltError && error.code === 'NotDeterministic';
