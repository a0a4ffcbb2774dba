import { evenBorders } from '../../contracts/cut';
import type { Span } from '../../contracts/names';
import type { RoundPlan } from '../../contracts/round';
import { isGrouped, ownedSpans, type StepShape } from '../../contracts/step-traffic';
import { treeNodes } from '../../contracts/tree-nodes';

/** A stretch of the vector in which sums of tree nodes go on: to others, by name, and into what this worker itself adds up. */
export interface Piece {
  readonly span: Span;
  readonly published: boolean;
  readonly kept: boolean;
}
/** One addition along the tree: what this worker has itself, and these nodes of others. */
export interface Addition {
  readonly span: Span;
  readonly reads: readonly Span[];
}
/**
 * What one worker publishes, combines and needs in a step. Values and their names are the same in every role, so only
 * traffic depends on it, and a round may change it.
 */
export interface Role {
  /** Own nodes go on in these; together they are the whole vector, in sending order. */
  readonly pieces: readonly Piece[];
  /** Adds nodes of several workers to larger ones for others; own nodes go in here then. */
  readonly combines?: Addition & { readonly into: readonly Span[]; readonly pieces: readonly Piece[] };
  /** Sums over all lanes, which this worker updates from. */
  readonly sums: readonly Addition[];
}

export function roleOf(shape: RoleShape, worker: number): Role {
  switch (shape.topology) {
    case 'all-to-all':
      return allToAll(shape, worker);
    case 'all-reduce-leader':
      return leader(shape, worker);
    case 'scatter-reduce':
    case 'parameter-server':
      return scatter(shape, worker);
  }
}
export type RoleShape = Pick<StepShape, 'topology' | 'groups' | 'cut' | 'lanes' | 'paramCount' | 'bufferCount'>;

export const roleShape = ({ topology, groups, cut, recipeBody }: RoundPlan, program: Pick<RoleShape, 'paramCount' | 'bufferCount'>): RoleShape => ({
  topology,
  groups,
  cut,
  lanes: recipeBody.lanes,
  paramCount: program.paramCount,
  bufferCount: program.bufferCount,
});

const workersOf = ({ cut }: RoleShape) => cut.laneBorders.length - 1;
/** The nodes of each worker in [first, end), as they are published. */
const nodesOf = ({ cut: { laneBorders }, lanes }: RoleShape, first: number, end: number): Span[] =>
  Array.from({ length: end - first }, (_, i) => treeNodes({ start: laneBorders[first + i]!, end: laneBorders[first + i + 1]! }, lanes)).flat();
/** The nodes of [first, end) as one. */
const nodesOfGroup = ({ cut: { laneBorders }, lanes }: RoleShape, first: number, end: number): Span[] =>
  treeNodes({ start: laneBorders[first]!, end: laneBorders[end]! }, lanes);

function scatter(shape: RoleShape, worker: number): Role {
  const workers = workersOf(shape);
  const groups = shape.topology === 'scatter-reduce' && isGrouped(shape.groups, workers) ? shape.groups : workers;
  const borders = evenBorders(workers, groups);
  const group = borders.findIndex((border) => border > worker) - 1;
  const [first, end] = [borders[group]!, borders[group + 1]!];
  const spans = ownedSpans(shape);
  const own = spans.filter(({ owner }) => owner === worker).map(({ span }) => span);
  const others = borders.slice(1).flatMap((to, g) => (g === group ? [] : nodesOfGroup(shape, borders[g]!, to)));
  if (end - first === 1) {
    const pieces = spans.map(({ span, owner }) => ({ span, published: owner !== worker, kept: owner === worker }));
    return { pieces: ownLast(pieces, worker), sums: own.map((span) => ({ span, reads: others })) };
  }

  const pieceBorders = evenBorders(spans.length, end - first);
  const pieces = Array.from({ length: end - first }, (_, member) => spans.slice(pieceBorders[member], pieceBorders[member + 1]));
  const mine = pieces[worker - first]!;
  const into = nodesOfGroup(shape, first, end);
  return {
    pieces: ownLast(
      pieces.filter((piece) => piece.length > 0).map((piece) => ({ span: joined(piece), published: piece !== mine, kept: piece === mine })),
      worker - first,
    ),
    ...(mine.length > 0 && {
      combines: {
        span: joined(mine),
        reads: [...nodesOf(shape, first, worker), ...nodesOf(shape, worker + 1, end)],
        into,
        pieces: mine.map(({ span, owner }) => ({ span, published: owner !== worker, kept: owner === worker })),
      },
    }),
    sums: own.map((span) => ({ span, reads: mine.some((part) => part.span === span) ? others : [...others, ...into] })),
  };
}

function allToAll(shape: RoleShape, worker: number): Role {
  const span = wholeOf(shape);
  const workers = workersOf(shape);
  const reads = [...nodesOf(shape, 0, worker), ...nodesOf(shape, worker + 1, workers)];
  return { pieces: [{ span, published: workers > 1, kept: true }], sums: [{ span, reads }] };
}

function leader(shape: RoleShape, worker: number): Role {
  const span = wholeOf(shape);
  const workers = workersOf(shape);
  const root = nodesOfGroup(shape, 0, workers);
  if (workers === 1) return allToAll(shape, worker);
  if (worker > 0) return { pieces: [{ span, published: true, kept: false }], sums: [{ span, reads: root }] };
  return {
    pieces: [{ span, published: false, kept: true }],
    combines: { span, reads: nodesOf(shape, 1, workers), into: root, pieces: [{ span, published: true, kept: true }] },
    sums: [{ span, reads: [] }],
  };
}

const wholeOf = ({ paramCount, bufferCount }: RoleShape): Span => ({ start: 0, end: paramCount + bufferCount + 1 });
const joined = (piece: readonly { readonly span: Span }[]): Span => ({ start: piece[0]!.span.start, end: piece.at(-1)!.span.end });

/** Each begins with another's piece, so that nobody is everybody's first, and ends with its own. */
function ownLast(pieces: readonly Piece[], place: number): Piece[] {
  const own = pieces.findIndex(({ kept }) => kept);
  const first = (own < 0 ? place : own + 1) % pieces.length;
  return [...pieces.slice(first), ...pieces.slice(0, first)];
}
