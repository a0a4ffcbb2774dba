import { SmltError } from './errors';
import { isReplicated, type Topology } from './synchronization';
import { isPowerOfTwo, treeNodes } from './tree-nodes';

/*
 * Who does what. A cut never changes bits (lanes and ranges are fixed), only how much is sent and who waits.
 */

/**
 * Borders that give each worker its lanes: worker w drives [borders[w], borders[w + 1]).
 * Fewest lanes for the busiest worker first (it sets the pace), then fewest tree nodes (each is one published gradient),
 * then the most even; among equals the earlier workers take more.
 * @param unit  a power of two: lanes are cut as if there were one for each so many of them. The busiest worker has up to
 *   unit - 1 lanes more, and log2(unit) levels of the tree are never published
 */
export function cutLanes(lanes: number, workers: number, unit = 1): number[] {
  if (!Number.isInteger(workers) || workers < 1 || workers > lanes)
    throw new SmltError('InvalidSpec', `${workers} workers for ${lanes} lanes: expected 1 to ${lanes}; raise lanes to use more workers`);
  const units = lanes / unit;
  if (!isPowerOfTwo(unit) || units < workers)
    throw new Error(`${workers} workers for ${lanes} lanes in units of ${unit}: expected a power of two, and a unit for each worker`);
  const key = `${units} ${workers}`;
  const known = cutsKnown.get(key) ?? bestLaneCut(units, workers);
  if (cutsKnown.size >= MOST_KNOWN) cutsKnown.clear();
  cutsKnown.set(key, known);
  return known.map((border) => border * unit);
}
/** Lanes of the busiest worker of such a cut. */
export const mostLanes = (lanes: number, workers: number, unit = 1): number => Math.min(lanes, unit * Math.ceil(lanes / unit / workers));
/** A pure function's answers: among a thousand lanes one takes a second, and the scheduler asks again and again. */
const cutsKnown = new Map<string, readonly number[]>();
const MOST_KNOWN = 1_024;

function bestLaneCut(lanes: number, workers: number): number[] {
  const most = Math.ceil(lanes / workers);
  const UNEVEN = 1 / (lanes * lanes * 2); // squares of lanes add up to at most lanes², so they never outweigh a node
  const costOf = (start: number, size: number) => treeNodes({ start, end: start + size }, lanes).length + size * size * UNEVEN;
  // best[w][start]: least cost of giving [start, lanes) to workers w.., and the share of worker w in it.
  const best = Array.from({ length: workers + 1 }, () => new Float64Array(lanes + 1).fill(Infinity));
  const take = Array.from({ length: workers }, () => new Int32Array(lanes + 1));
  best[workers]![lanes] = 0;
  for (let worker = workers - 1; worker >= 0; worker--) {
    const rest = workers - worker;
    for (let start = Math.max(worker, lanes - rest * most); start <= Math.min(worker * most, lanes - rest); start++) {
      for (let size = Math.min(most, lanes - start); size >= 1; size--) {
        const after = best[worker + 1]![start + size]!;
        if (after === Infinity) continue;
        const cost = costOf(start, size) + after;
        if (cost < best[worker]![start]!) {
          best[worker]![start] = cost;
          take[worker]![start] = size;
        }
      }
    }
  }
  const borders = [0];
  for (let worker = 0; worker < workers; worker++) borders.push(borders[worker]! + take[worker]![borders[worker]!]!);
  return borders;
}

/** Elements between two possible range borders: the largest power of two up to paramCount / 512, between 256 and 65,536. */
export function blockElements(paramCount: number): number {
  let elements = 256;
  while (elements < 65_536 && elements * 2 <= paramCount / 512) elements *= 2;
  return elements;
}

/** Floats of optimiser state a parameter that shares are evened out for: Adam's. Others' differ by a small part of a share. */
const STATE_SLOTS = 2;

/**
 * Borders that give each owner its parameters, on block borders, so that all move as many bytes in a step of scatter-reduce:
 * whoever publishes more tree nodes owns less (docs/lanes.md, section 4). With more workers than blocks some own nothing.
 * @param nodes  tree nodes that each worker's lanes are made of
 */
export function cutRanges(paramCount: number, nodes: readonly number[], elements: number): number[] {
  const all = nodes.reduce((sum, own) => sum + own, 0);
  // Floats moved, in units of paramCount: own + 1 without any share, and so many times the share.
  const perShare = nodes.map((own) => Math.max(1, all + STATE_SLOTS - 2 * own));
  let shares: number[];
  let owners = nodes.map((_, worker) => worker);
  for (;;) {
    let [fixed, slope] = [1, 0];
    for (const worker of owners) {
      fixed += (nodes[worker]! + 1) / perShare[worker]!;
      slope += 1 / perShare[worker]!;
    }
    const each = fixed / slope;
    shares = nodes.map((own, worker) => (owners.includes(worker) ? (each - own - 1) / perShare[worker]! : 0));
    const left = owners.filter((worker) => shares[worker]! >= 0);
    if (left.length === owners.length) break;
    owners = left; // a share below nothing: it publishes too much already
  }
  const borders = [0];
  let sum = 0;
  for (const share of shares.slice(0, -1)) {
    sum += share;
    borders.push(Math.min(paramCount, Math.floor((sum * paramCount) / elements + 0.5) * elements));
  }
  return [...borders, paramCount];
}

interface CutShape {
  topology: Topology;
  lanes: number;
  laneUnit?: number | undefined;
  paramCount: number;
  workers: number;
  blockElements?: number;
}
/** Who drives which lanes and owns which parameters in a round; all of them belong to one worker where the topology says so. */
export function cutOf(shape: CutShape): { laneBorders: number[]; rangeBorders: number[] } {
  const { topology, lanes, laneUnit, paramCount, workers } = shape;
  const laneBorders = cutLanes(lanes, workers, laneUnit);
  if (topology === 'parameter-server') return { laneBorders, rangeBorders: [0, ...new Array<number>(workers).fill(paramCount)] };
  const nodesOf = (worker: number) => treeNodes({ start: laneBorders[worker]!, end: laneBorders[worker + 1]! }, lanes).length;
  const nodes = Array.from({ length: workers }, (_, worker) => (isReplicated(topology) ? 1 : nodesOf(worker)));
  return { laneBorders, rangeBorders: cutRanges(paramCount, nodes, shape.blockElements ?? blockElements(paramCount)) };
}

/** Borders of `parts` stretches of `total`, in order, whose sizes differ by at most one. */
export function evenBorders(total: number, parts: number): number[] {
  return Array.from({ length: parts + 1 }, (_, part) => Math.floor((total * part) / parts));
}
