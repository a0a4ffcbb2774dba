import type { Exchange, StoreRequests } from '../../storage/exchange';
import type { ObjectStore } from '../../storage/object-store';

export const noRequests: StoreRequests = { puts: 0, gets: 0 };

export interface CountedStore extends ObjectStore {
  /** Calls of any kind. */
  readonly requests: number;
  readonly counted: StoreRequests;
}

/** Requests to the object store are part of a round's price. */
export function countedStore(store: ObjectStore): CountedStore {
  const counted = { puts: 0, gets: 0 };
  let deletes = 0;
  const write = <A extends unknown[], R>(call: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => (counted.puts++, call.apply(store, args));
  };
  const read = <A extends unknown[], R>(call: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => (counted.gets++, call.apply(store, args));
  };
  return {
    uri: store.uri,
    counted,
    get requests() {
      return counted.puts + counted.gets + deletes;
    },
    putValue: write(store.putValue),
    decide: write(store.decide),
    replace: write(store.replace),
    list: write(store.list), // S3 has one price for both
    get: read(store.get),
    getInto: read(store.getInto),
    head: read(store.head),
    delete: (...args) => (deletes++, store.delete(...args)),
  };
}

/** What the stores' provider charges for since `before`: files and Redis cost nothing by the request. */
export function chargedOf(store: CountedStore, exchange: Exchange, before: StoreRequests): StoreRequests {
  const { puts, gets } = exchange.charged ?? noRequests;
  const kept = store.uri.startsWith('s3:') ? store.counted : noRequests;
  return { puts: puts - before.puts + kept.puts, gets: gets - before.gets + kept.gets };
}
