/**
 * Tests that need something this machine may not have. Where it is missing they are reported as skipped, by name and with
 * how to get it; where SMLT_REQUIRE names it (as CI does) the same is a failure.
 */
export interface Backend<T> {
  /** What the probe found; undefined when the back end is not here. */
  readonly found: T | undefined;
  /** `describe` with what was found, or the one line that says what is missing. */
  describe(title: string, tests: (found: T) => void): void;
}

/**
 * @param probe     synchronous, since jest collects tests synchronously; returns undefined when the back end is not here
 * @param howToGet  a command or a sentence that a reader of the skipped test can follow
 */
export function requireBackend<T>(name: string, probe: () => T | undefined, howToGet: string): Backend<T> {
  const found = probe();
  const required = (process.env['SMLT_REQUIRE'] ?? '').split(',').includes(name);
  return {
    found,
    describe(title, tests) {
      if (found !== undefined) return describe(title, () => tests(found));
      const line = `${title}: ${name} is not here; get it: ${howToGet}`;
      if (!required) return it.skip(line, () => undefined);
      it(line, () => {
        throw new Error(`SMLT_REQUIRE names ${name}, but it was not found. Get it: ${howToGet}`);
      });
    },
  };
}
