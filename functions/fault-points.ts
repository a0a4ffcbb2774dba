/** Moments of a worker's turn that a fault may be aimed at: each leaves other names behind. `betweenPuts` is told with the step being published. */
export type FaultPoint = 'beforePut' | 'betweenPuts' | 'beforeCheckpoint' | 'beforeResponse';
type Passing = (point: FaultPoint, step: number) => Promise<void>;
const passingKey = Symbol.for('smlt.passing');

/** Says that a turn passes a point. Only the embedded Lambda server with a fault plan ever listens. */
export async function passing(point: FaultPoint, step: number): Promise<void> {
  await (globalThis as { [passingKey]?: Passing })[passingKey]?.(point, step);
}
