/** Instances that wait for work keep this long. Source: observed on AWS Lambda, 5 to 15 minutes. */
const IDLE_MS = 600_000;

/** The platform's warm instances of each memory size. A serial number names an instance for as long as it lives. */
export class Instances {
  readonly #free = new Map<number, { serial: number; usedAtMs: number }[]>();
  #next = 0;

  take(memoryMib: number, nowMs: number): { serial: number; isCold: boolean } {
    const free = this.#free.get(memoryMib);
    for (let one = free?.pop(); one !== undefined; one = free?.pop())
      if (nowMs - one.usedAtMs <= IDLE_MS) return { serial: one.serial, isCold: false };
    return { serial: this.#next++, isCold: true };
  }
  giveBack(memoryMib: number, serial: number, nowMs: number): void {
    const free = this.#free.get(memoryMib) ?? [];
    free.push({ serial, usedAtMs: nowMs });
    this.#free.set(memoryMib, free);
  }
}
