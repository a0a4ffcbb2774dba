import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';

/** What handlers touch of the outside; a test puts faults in between. Opening the same URI again gives the same object. */
export interface World {
  store(uri: string): Promise<ObjectStore>;
  exchange(uri: string): Promise<Exchange>;
}
