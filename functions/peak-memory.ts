import { readFileSync } from 'node:fs';

/**
 * The most memory that this process has resided in, MiB. getrusage(2) would count what its parent resided in when it
 * started this one, so Linux is asked for the high-water mark of this program alone (proc(5), VmHWM).
 */
export function peakRssMib(): number {
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kib !== undefined) return Number(kib) / 1_024;
  } catch {
    // No Linux: the parent's share is taken as it comes.
  }
  return process.resourceUsage().maxRSS / 1_024;
}
