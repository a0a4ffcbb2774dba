import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';
import type { Compute } from './compute';

/** Opening the same URI again gives the same object. */
export interface Stores {
  store(uri: string): Promise<ObjectStore>;
  exchange(uri: string): Promise<Exchange>;
}

/** What handlers touch of the outside; a test puts faults in between. */
export interface World extends Stores {
  readonly compute: Compute;
}
