import type { Compute } from './compute';
import type { Stores } from './stores';

/** What handlers touch of the outside; a test puts faults in between. */
export interface World extends Stores {
  readonly compute: Compute;
}
