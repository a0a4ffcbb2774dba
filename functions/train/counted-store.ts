import type { ObjectStore } from '../../storage/object-store';

export interface CountedStore extends ObjectStore {
  /** Calls of any kind. */
  readonly requests: number;
}

/** Counts what one turn asks of its object store. */
export function countedStore(store: ObjectStore): CountedStore {
  let requests = 0;
  const counted = <A extends unknown[], R>(call: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => (requests++, call.apply(store, args));
  };
  return {
    uri: store.uri,
    get requests() {
      return requests;
    },
    putValue: counted(store.putValue),
    decide: counted(store.decide),
    replace: counted(store.replace),
    list: counted(store.list),
    get: counted(store.get),
    getInto: counted(store.getInto),
    head: counted(store.head),
    delete: counted(store.delete),
  };
}
