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
