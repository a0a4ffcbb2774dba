import { mostAfter, noRequests, requestsLine, type StoreRequests } from '../contracts/charged-requests';
import type { ChargedRequests } from '../storage/charged-requests';

/**
 * What an instance asks S3 for, told to its log: a function that is killed answers nothing, and its log's tail still comes
 * back. Told are the counts when an invocation ends, and before a request that would make them more than `TOLD_GROWTH`
 * times what was told last, so some twenty lines for each factor of ten. Where nothing is charged for, nothing is told.
 */
export class RequestMeter {
  readonly #counts = new Set<ChargedRequests>();
  #before: StoreRequests = noRequests;
  #told: StoreRequests = noRequests;

  constructor(private readonly tell: (line: string) => void = console.log) {}

  /** Counts what goes through this store from now on. */
  watch(charged: ChargedRequests | undefined): void {
    if (!charged) return;
    this.#counts.add(charged);
    charged.onRequest = () => this.#tellGrowth();
    this.#tellGrowth(); // opening it has asked for something already
  }

  /** The end of an invocation: all of its requests are told, and the next one begins at none. */
  end(): void {
    const spent = this.#spent();
    if (spent.puts + spent.gets > 0) this.tell(requestsLine(spent, true));
    this.#before = this.#total();
    this.#told = noRequests;
  }

  #tellGrowth(): void {
    const spent = this.#spent();
    const most = mostAfter(this.#told);
    if (spent.puts <= most.puts && spent.gets <= most.gets) return;
    this.#told = spent;
    this.tell(requestsLine(spent, false));
  }
  #spent(): StoreRequests {
    const { puts, gets } = this.#total();
    return { puts: puts - this.#before.puts, gets: gets - this.#before.gets };
  }
  #total(): StoreRequests {
    return [...this.#counts].reduce((sum, { puts, gets }) => ({ puts: sum.puts + puts, gets: sum.gets + gets }), noRequests);
  }
}

/** An instance runs one invocation at a time. */
export const requestMeter = new RequestMeter();
