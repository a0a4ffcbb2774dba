/** Time that passes only while everybody who could act is waiting for it: hours of it take milliseconds. */
export interface VirtualClock {
  now(): Promise<number>;
  /**
   * Lets time pass. `callers`: how many callers do nothing else meanwhile; time stands still while any other one works.
   * An abort ends the wait early, at whatever moment it then is.
   */
  sleep(durationMs: number, callers: number, signal?: AbortSignal): Promise<void>;
  /** Who is asking now: several invocations of one caller wait together. */
  caller(): string;
}
