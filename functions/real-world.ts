import type { ChargedRequests } from '../storage/charged-requests';
import { openExchange, openObjectStore } from '../storage';
import type { Exchange } from '../storage/exchange';
import type { ObjectStore } from '../storage/object-store';
import { requestMeter } from './request-meter';
import type { Stores } from './stores';

/** Stores stay open as long as the instance lives, one for each URI. */
function once<T extends { readonly charged?: ChargedRequests | undefined }>(open: (uri: string) => Promise<T>): (uri: string) => Promise<T> {
  const opened = new Map<string, Promise<T>>();
  return (uri) => {
    const known = opened.get(uri);
    if (known) return known;
    const opening = open(uri).then((store) => {
      requestMeter.watch(store.charged);
      return store;
    });
    opened.set(uri, opening);
    opening.catch(() => opened.delete(uri));
    return opening;
  };
}

export const realStores: Stores = {
  store: once<ObjectStore>(openObjectStore),
  exchange: once<Exchange>(openExchange),
};
