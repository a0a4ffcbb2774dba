import { openObjectStore, type ObjectStore } from '../../storage';
import { readDevState } from '../dev/dev-state';
import { homeOf } from '../home';

/** The store of this home's runs, for commands that need no Temporal server. */
export function openHomeStore(): Promise<ObjectStore> {
  const home = homeOf();
  return openObjectStore(process.env['SMLT_STORE_URI'] || readDevState(home)?.storeUri || home.storeUri);
}
