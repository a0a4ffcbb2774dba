/** What the server and its supervisor say to each other over their IPC channel. */
export interface StartMessage {
  readonly kind: 'start';
  readonly id: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logPath: string;
  readonly memoryLimitKib: number;
  /** Share of one core while busy; 1 and more means not throttled. */
  readonly cpuShare: number;
}
export interface BusyMessage {
  readonly kind: 'busy';
  readonly id: string;
  readonly busy: boolean;
}
export type ToSupervisor = StartMessage | BusyMessage;

export interface ExitedMessage {
  readonly kind: 'exited';
  readonly id: string;
  readonly code: number | null;
  readonly signal: string | null;
  /** True when it was the supervisor that killed it, for its memory. */
  readonly outOfMemory: boolean;
  readonly peakKib: number;
}
export type FromSupervisor =
  | { readonly kind: 'started'; readonly id: string; readonly pid: number }
  | { readonly kind: 'failed'; readonly id: string; readonly message: string }
  | { readonly kind: 'memory'; readonly id: string; readonly peakKib: number }
  | ExitedMessage;
