import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';

/** Opening the same URI again gives the same object. */
export interface Stores {
  store(uri: string): Promise<ObjectStore>;
  exchange(uri: string): Promise<Exchange>;
}
