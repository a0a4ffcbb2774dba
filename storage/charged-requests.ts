import type { StoreRequests } from '../contracts/charged-requests';

/** Counts what S3 charges for, attempts that failed included. Source: Amazon S3 pricing: PUT, POST and LIST have one price, GET and HEAD another, DELETE none. */
export class ChargedRequests implements StoreRequests {
  puts = 0;
  gets = 0;
  /** Told of each, before it is sent. */
  onRequest: (() => void) | undefined;

  count(method: string, isList: boolean): void {
    if (method === 'PUT' || (method === 'GET' && isList)) this.puts++;
    else if (method === 'GET' || method === 'HEAD') this.gets++;
    else return;
    this.onRequest?.();
  }
}
