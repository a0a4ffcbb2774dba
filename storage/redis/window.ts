/**
 * Lets so many bytes of replies be on their way at a time, in the order in which they were asked for.
 * Redis answers a pipeline as far as it can before it sends anything: twenty replies of 1 MiB that are asked for at once lie
 * in twenty fresh buffers, and getting those from the kernel costs it more than the values themselves (docs/decisions/0031).
 */
export class Window {
  private bytes = 0;
  private readonly waiting: { readonly bytes: number; readonly send: () => void }[] = [];

  constructor(private readonly mostBytes: number) {}

  /** Calls `send` as soon as there is room; it says `leave` when its reply is here. */
  enter(bytes: number, send: () => void): void {
    if (this.waiting.length > 0 || (this.bytes > 0 && this.bytes + bytes > this.mostBytes)) this.waiting.push({ bytes, send });
    else {
      this.bytes += bytes;
      send();
    }
  }

  leave(bytes: number): void {
    this.bytes -= bytes;
    while (this.waiting.length > 0 && (this.bytes === 0 || this.bytes + this.waiting[0]!.bytes <= this.mostBytes)) {
      const next = this.waiting.shift()!;
      this.bytes += next.bytes;
      next.send();
    }
  }
}
