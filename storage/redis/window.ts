/**
 * Lets a few pieces of work run at a time, in the order in which they were asked for.
 * Redis answers a pipeline as far as it can before it sends anything: twenty replies of 1 MiB that are asked for at once lie
 * in twenty fresh buffers, and getting those from the kernel costs it more than the values themselves (docs/decisions/0031).
 */
export class Window {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly size: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.running === this.size) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.running++;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }
}
