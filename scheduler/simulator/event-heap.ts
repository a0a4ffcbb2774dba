const FIRST_CAPACITY = 1_024;

/**
 * Events by time, earliest first: a binary heap on typed arrays, so that millions of events leave nothing to collect.
 * The same pushes pop in the same order, ties too.
 */
export class EventHeap {
  #times = new Float64Array(FIRST_CAPACITY);
  #events = new Int32Array(FIRST_CAPACITY);
  #marks = new Int32Array(FIRST_CAPACITY);
  #size = 0;
  /** The mark of the event popped last. */
  mark = 0;

  /** When the next event is due; Infinity when there is none. */
  get nextMs(): number {
    return this.#size === 0 ? Infinity : this.#times[0]!;
  }

  /** @param mark  what the popper compares: an event of an invocation that has ended means nothing */
  push(atMs: number, event: number, mark: number): void {
    if (this.#size === this.#times.length) this.#grow();
    const times = this.#times;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (times[parent]! <= atMs) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, atMs, event, mark);
  }

  /** Takes the earliest event out. The heap must not be empty. */
  pop(): number {
    const first = this.#events[0]!;
    this.mark = this.#marks[0]!;
    const size = --this.#size;
    const times = this.#times;
    const lastMs = times[size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && times[child + 1]! < times[child]!) child += 1;
      if (times[child]! >= lastMs) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, lastMs, this.#events[size]!, this.#marks[size]!);
    return first;
  }

  clear(): void {
    this.#size = 0;
  }

  #set(at: number, timeMs: number, event: number, mark: number): void {
    this.#times[at] = timeMs;
    this.#events[at] = event;
    this.#marks[at] = mark;
  }
  #move(from: number, to: number): void {
    this.#set(to, this.#times[from]!, this.#events[from]!, this.#marks[from]!);
  }
  #grow(): void {
    const grown = { times: new Float64Array(2 * this.#size), events: new Int32Array(2 * this.#size), marks: new Int32Array(2 * this.#size) };
    grown.times.set(this.#times);
    grown.events.set(this.#events);
    grown.marks.set(this.#marks);
    [this.#times, this.#events, this.#marks] = [grown.times, grown.events, grown.marks];
  }
}
