/** Cuts a value that is given in parts at every so many bytes, without copying: each cut is a list of views. None for no bytes. */
export function cutViews(parts: readonly Uint8Array[], every: number): Uint8Array[][] {
  const cuts: Uint8Array[][] = [];
  let room = 0;
  for (const part of parts) {
    for (let at = 0; at < part.byteLength;) {
      if (room === 0) {
        cuts.push([]);
        room = every;
      }
      const taken = Math.min(room, part.byteLength - at);
      cuts[cuts.length - 1]!.push(part.subarray(at, at + taken));
      at += taken;
      room -= taken;
    }
  }
  return cuts;
}

/** Writes what comes in pieces into views, one after the other; what lies beyond them is only counted. */
export class Filling {
  received = 0;
  constructor(private readonly views: readonly Uint8Array[]) {}

  take(bytes: Uint8Array): void {
    let viewStart = 0;
    for (const view of this.views) {
      const from = Math.max(0, viewStart - this.received);
      const at = Math.max(0, this.received - viewStart);
      if (from < bytes.byteLength && at < view.byteLength) view.set(bytes.subarray(from, from + view.byteLength - at), at);
      viewStart += view.byteLength;
    }
    this.received += bytes.byteLength;
  }
}
