#!/usr/bin/env python3
"""Model of how smlt's functions train rounds: explores every interleaving of workers, faults, sweeps and commits.
usage: python3 docs/protocol/model.py [word ...]    scenarios whose name contains a word; without one all that are neither
       long (some minutes) nor deep (half an hour, several GB); README.md beside it says what is proved
Checked: safety, where `Bad` is raised; and that from every reachable state the run can still end, with every
instance ended by itself, without a further fault. That a value is right is not computed here but follows from names:
whoever puts a name holds the inputs that it says. Only a changed recipe breaks that ('recipe changes').
"""
import sys, time
from dataclasses import dataclass
LANES = 4
@dataclass
class Rules:
    """The protocol's choices: the defaults are the rules of README.md, scenarios go back on one of them."""
    rounds: list                        # the allocation of each round: (lane borders, range borders)
    faults: int = 1                     # how many faults, of these kinds in any mixture, each at any moment
    kinds: str = 'crash zombie hedge loss vanish commit'
    k: int = 2                          # steps a round
    order: str = 'state params'         # an owner's order of publishing
    complete: str = 'all'               # a step is complete with: params | params and own state | all
    waits: str = 'resolve'              # a long wait: resolve | jump (does not look for its own names) | design (4.4) | forever
    skip: str = 'never'                 # an owner takes s + 1 as published when it finds: never | its params | both
    finish: str = 'all durable'         # a worker is done when: all durable | own durable | last step in exchange
    manifest: bool = True               # resolve looks for the round's manifest first
    slack: int = 1                      # steps kept below the newest complete one
    sweep: str = 'own names'            # a worker's sweep: own names | list (everything under old steps)
    stale: bool = False                 # the LIST of a commit's sweep may miss everything
    slots: int = 99                     # instances that the platform runs at once
    yields: bool = False                # a waiting worker may return and free its slot
    cleanups: int = 2                   # at the end; the second one after the last zombie's time limit
    again: bool = False                 # in a long wait an owner may also put again params and state of its current step
    clip: bool = False                  # global-norm clipping: owners exchange norms before they apply the optimiser
    weigh: bool = False                 # weighted losses: the first worker tells the mean weight before anybody updates
    topology: str = 'scatter-reduce'    # who adds up and who updates: also all-to-all | all-reduce-leader; a parameter server is a cut
    groups: int = 0                     # scatter-reduce in so many groups, which add up tree nodes before owners do
    keeps: bool = True                  # partials that only their maker needs are not published
    lone: bool = True                   # a worker that is alone publishes a step only when it likes to
    lanes: str = ''                     # a state for each lane (error feedback): exchanged | recomputed from the round's params
    earlier: bool = True                # recomputed: a step is complete only with the params of the round's earlier ones
    lineage: bool = True                # names contain the digest of the recipe, which changes with every round
    fine: bool = False                  # smaller actions: one name a put, one peer's names a read, resolve apart from load
class Bad(Exception): pass
BITS = {}
def bit(*name): return 1 << BITS.setdefault(name, len(BITS))

def nodes(a, b, lo=0, hi=LANES):
    """The maximal nodes inside lanes [a, b) of the binary tree over all lanes."""
    if a <= lo and hi <= b: return [(lo, hi)]
    return [] if hi <= a or b <= lo else nodes(a, b, lo, (lo + hi) // 2) + nodes(a, b, (lo + hi) // 2, hi)

def even(total, parts): return [total * i // parts for i in range(parts + 1)]

def role(w, W, R, rules):
    """Who does what with partials, as in functions/train/role.ts: worker w's ([published (nodes, span)], one a put; nodes
    that it combines, of one peer each; [published combinations]; nodes that it reads to reduce, of one peer each)."""
    n = len(W); made = [nodes(*x) for x in W]; whole = (R[0][0], R[-1][1]); others = [v for v in range(n) if v != w]
    if rules.topology == 'all-to-all': return [(made[w], whole)], [], [], [(made[v], whole) for v in others]
    if rules.topology == 'all-reduce-leader' and n > 1:
        root = (nodes(W[0][0], W[-1][1]), whole)
        return ([(made[w], whole)], [], [], [root]) if w else ([], [(made[v], whole) for v in others], [root], [])
    borders = even(n, rules.groups or n); groups = list(zip(borders, borders[1:])); joint = [nodes(W[a][0], W[b - 1][1]) for a, b in groups]
    g = next(i for i, (a, b) in enumerate(groups) if a <= w < b); a, b = groups[g]; full = lambda r: r[0] < r[1]
    far = [(joint[i], R[w]) for i in range(len(groups)) if i != g and full(R[w])]
    if b - a == 1:
        return [(made[w], r) for v, r in enumerate(R) if full(r) and (v != w or not rules.keeps)], [], [], far + [(made[w], R[w])] * (full(R[w]) and not rules.keeps)
    cut = even(n, b - a); pieces = [[v for v in range(cut[i], cut[i + 1]) if full(R[v])] for i in range(b - a)]
    span = lambda piece: (R[piece[0]][0], R[piece[-1]][1]); mine = pieces[w - a]
    sends = [(made[w], span(piece)) for piece in pieces if piece and (piece != mine or not rules.keeps)]
    joins = [(made[v], span(mine)) for v in range(a, b) if mine and (v != w or not rules.keeps)]
    merged = [(joint[g], R[v]) for v in mine if v != w or not rules.keeps]
    near = [] if w in mine and rules.keeps else [(joint[g], R[w])] if full(R[w]) else []
    return sends, joins, merged, far + near

class Cut:
    """All names under one allocation, as bit masks: by step, then worker or range."""
    def __init__(self, borders, ranges, steps, rules):
        R = list(zip(ranges, ranges[1:])); W = list(zip(borders, borders[1:])); S = range(steps + 1); self.n = n = len(W); lanes = rules.lanes != ''
        roles = [role(w, W, R, rules) for w in range(n)]
        def partials(part): return [[[sum(bit('partial', s, v, span) for v in made) for made, span in r[part]] for r in roles] for s in S]
        self.sends, self.joins, self.merged, self.reads = (partials(part) for part in range(4))
        def each(kind, of, first=False):
            return [[bit(kind, s, x) if (not first or i == 0) and (x[0] < x[1] or first) else 0 for i, x in enumerate(of)] for s in S]
        self.norm, self.state, self.param = each('norm', R, rules.weigh), each('state', R), each('params', R)
        self.lane = each('lane state', W) if rules.lanes == 'exchanged' else [[0] * n for _ in S]
        self.kept1 = [[(bit('kept params', s, r) | bit('kept state', s, r) if r[0] < r[1] else 0) | (bit('kept lane state', s, w) if lanes else 0)
                       for r, w in zip(R, W)] for s in S]
        self.norms, self.params, self.kept = ([sum(x) for x in y] for y in (self.norm, self.param, self.kept1))
        self.whole = [self.params[s] | sum(self.state[s]) | sum(self.lane[s]) for s in S]
        self.made = [[sum(self.sends[s][i]) | sum(self.merged[s][i]) for i in range(n)] for s in S]
        kept = rules.lanes == 'recomputed'  # params are: lane states follow from them
        self.own = [[self.made[s][i] | self.norm[s][i] | self.state[s][i] | (0 if kept else self.param[s][i]) | self.lane[s][i] for i in range(n)] for s in S]
        everything = rules.topology in ('all-to-all', 'all-reduce-leader')  # where a worker updates all ranges it loads all states
        self.loads = [[self.params[s] | self.lane[s][i] | (sum(self.state[s]) if everything else self.state[s][i]) for i in range(n)] for s in S]
# An instance: (round, worker, live?, at, step, i, h: has its lanes' states at steps h - 1 and h, 0 where that says nothing);
# worker -1 is an overtaken commit activity. A state: (exchange, object
# store, instances, phase, round, finished workers, starts, faults left); starts[r] = (round r's first step, the cut of its checkpoint).
class Model:
    def __init__(self, rules):
        BITS.clear()
        self.rules, self.steps = rules, rules.k * len(rules.rounds)
        self.cuts = [Cut(l, r, self.steps, rules) for l, r in rules.rounds]
        self.cuts.append(Cut([0, LANES], [0, rules.rounds[0][1][-1]], 0, rules))  # starts[0]'s cut: -1
        self.manifest = [bit('manifest', r) for r in range(len(rules.rounds))]
        self.by_step = [sum(1 << b for n, b in BITS.items() if n[0][:4] not in ('kept', 'mani') and n[1] == s) for s in range(self.steps + 1)]
        self.start = (0, self.cuts[-1].kept[0], (), 'run', 0, 0, ((0, -1),), rules.faults)
    def checkpoint(self, start): return self.cuts[start[1]].kept[start[0]]
    def newest(self, ex, r, w, first):
        """The newest step of the round that is complete in the exchange, or the round's first."""
        cut, rule = self.cuts[r], self.rules.complete
        for s in range(min(first + self.rules.k, self.steps), first, -1):
            need = cut.whole[s] if rule == 'all' else cut.params[s] | (cut.state[s][w] if rule == 'params and own state' else 0)
            if self.rules.lanes == 'recomputed' and self.rules.earlier: need |= sum(cut.params[first + 1:s])
            if ex & need == need: return s
        return first
    def act(self, ex, du, inst, starts):
        """What one instance may do next: (label, exchange, object store, instance | None: ends | 'done')."""
        rules = self.rules; r, w, live, at, s, i, h = inst; recalls = rules.lanes == 'recomputed'; first = starts[r][0]; last = first + rules.k; cut = self.cuts[r]
        if w < 0: return [('sweeps late', ex & ~sum(self.by_step[:starts[r + 1][0]]), du, None)]
        def go(at, s=s, i=0, h=h): return r, w, live, at, s, i, h
        def has(mask, there=ex): return there & mask == mask
        def put(what, mask, then):
            if not rules.lineage and at in 'SP' and len(starts) > r + 1 and s + 1 > starts[r + 1][0]: raise Bad('one name, two values')
            return [(f'puts {what}', ex | mask, du, then)]
        if at == 'R':  # resolve: where to go on?
            if rules.manifest and du & self.manifest[r]: return [('is superseded', ex, du, 'done')]
            if rules.finish == 'all durable' and has(cut.kept[last], du): return [('finds all durable', ex, du, 'done')]
            c = self.newest(ex, r, w, first)
            return [(f'resolves to {c}', ex, du, go('L', c))] if rules.fine else self.act(ex, du, go('L', c), starts)
        if at == 'L':  # load that step; by now it may be gone
            if s == first: return [(f'loads checkpoint {s}', ex, du, go('E', h=s if recalls else 0))] if has(self.checkpoint(starts[r]), du) else [('finds no checkpoint', ex, du, go('R'))]
            if not has(cut.loads[s][w]): return [(f'cannot load {s}', ex, du, go('R'))]
            if recalls and h not in (s, s + 1):  # computes its lanes again, from what it has or from the checkpoint on
                since = h if first < h < s else first
                if not has(sum(cut.params[max(since, first + 1):s])) or since == first and not has(self.checkpoint(starts[r]), du):
                    return [(f'cannot recall its lanes at {s}', ex, du, go('R'))]
                h = s
            return [(f'loads {s}', ex, du, go('E', h=h) if s < last else go('D', s - 1, h=h))]
        if at == 'E' and rules.lanes == 'exchanged' and not has(cut.lane[s + 1][w]): return put(f'lane states {s + 1}', cut.lane[s + 1][w], go('G'))
        lone = rules.lone and cut.n == 1 and not recalls
        if at in 'EG':
            if recalls: h = s + 1
            sends = cut.sends[s][w]; then = go('J' if cut.joins[s][w] else 'W', h=h)
            if not sends: return self.act(ex, du, then, starts)
            if not rules.fine: return put(f'partials {s}', sum(sends), then)
            return put(f'partial {s} range {i}', sends[i], go('G', i=i + 1, h=h) if i + 1 < len(sends) else then)
        def reads(wanted, what, then):
            """Waiting for several values: each peer's apart, or all at once."""
            out = [(f'reads {what} {v}', ex, du, go(at, i=i | 1 << v)) for v, mask in enumerate(wanted if rules.fine else []) if not i >> v & 1 and has(mask)]
            return out + ([(then[0], ex, du, go(then[1]))] if i == (1 << len(wanted)) - 1 or all(map(has, wanted)) else [])
        if at == 'J':  # wait for the partials of the own group
            found = reads(cut.joins[s][w], f'partial {s} of member', (f'combines {s}', 'M'))
            if found: return found[:1]
        if at == 'M': return put(f'combined partials {s}', sum(cut.merged[s][w]), go('W'))
        if at == 'W':  # wait for the partials of the own range
            if rules.skip != 'never' and has(cut.param[s + 1][w] | (cut.state[s + 1][w] if rules.skip == 'both' else 0)):
                return [(f'finds its {s + 1}', ex, du, go('Q'))]
            found = reads(cut.reads[s][w], f'partial {s} of', (f'reduces {s}', 'N' if rules.clip or rules.weigh else rules.order[0].upper()))
            if found: return found[:1]
        if at == 'Q' and has(cut.state[s + 1][w]): return [(f'loads its state {s + 1}', ex, du, go('D'))]
        if at == 'N': return put(f'norm {s}', cut.norm[s][w], go('V'))
        if at == 'V' and has(cut.norms[s]): return [(f'has the norm {s}', ex, du, go('S'))]
        if at == 'S' and lone: return [(f'keeps {s + 1} to itself', ex, du, go('D'))] + put(f'state {s + 1}', cut.state[s + 1][w], go('P'))
        if at == 'S': return put(f'state {s + 1}', cut.state[s + 1][w], go('P' if rules.order[0] == 's' else 'D'))
        if at == 'P': return put(f'params {s + 1}', cut.param[s + 1][w], go('D' if rules.order[0] == 's' else 'S'))
        if at == 'D':  # after publishing: the round's last step is kept durably
            if s + 1 < last or rules.finish == 'last step in exchange': return self.act(ex, du, go('C'), starts)
            return [(f'keeps {s + 1}', ex, du | cut.kept1[s + 1][w], go('C'))]
        if at == 'C':  # wait until s + 1 is complete
            if s + 1 == last and rules.finish == 'all durable':
                if has(cut.kept[last], du): return [(f'sees {last} durable', ex, du, go('X'))]
            else:
                if lone: return [(f'goes on at {s + 1}', ex, du, go('X'))]
                for v in range(cut.n if rules.fine else 0):
                    if not i >> v & 1 and has(cut.param[s + 1][v]): return [(f'reads params {s + 1} of {v}', ex, du, go('C', i=i | 1 << v))]
                if i == (1 << cut.n) - 1 or has(cut.params[s + 1]): return [(f'has all params {s + 1}', ex, du, go('X'))]
        if at == 'X':  # sweep, then the next step
            gone = sum(cut.own[o][w] if rules.sweep == 'own names' else self.by_step[o] for o in range(first, max(first, s + 1 - rules.slack)))
            return [(f'sweeps below {s + 1 - rules.slack}', ex & ~gone, du, go('E', s + 1) if s + 1 < last else 'done')]
        out = []  # a long wait, in W, V, Q or C
        mine = sum(cut.sends[s][w]) | cut.lane[s + 1][w] | (cut.norm[s][w] if at in 'VC' and (rules.clip or rules.weigh) else 0)
        if at in 'WVC': mine |= sum(cut.merged[s][w])
        if at == 'C' and not lone: mine |= cut.state[s + 1][w] | cut.param[s + 1][w]
        newest = self.newest(ex, r, w, first)
        news = newest != s or not has(mine) and rules.waits != 'jump' or du & self.manifest[r] or has(cut.kept[last], du)
        if rules.waits in ('resolve', 'jump') and news: out.append(('waits too long', ex, du, go('R')))
        if rules.waits == 'design' and newest > s + (at == 'C'): out.append(('is superseded', ex, du, None))
        if rules.again and s > first and not has(cut.state[s][w] | cut.param[s][w]): out += put(f'{s} again', cut.state[s][w] | cut.param[s][w], inst)
        if rules.yields: out.append(('yields', ex, du, None))
        return out
    def next(self, state):
        """All (label, is it a fault?, next state)."""
        ex, du, insts, phase, r, fin, starts, left = state; rules = self.rules; n = self.cuts[r].n; out = []
        def add(label, ex=ex, du=du, insts=insts, phase=phase, r=r, fin=fin, starts=starts, left=left):
            out.append((label, left < state[7], (ex, du, tuple(sorted(insts)), phase, r, fin, starts, left)))
        def fault(kind, label, **change):
            if left and kind in rules.kinds: add(label, left=left - 1, **change)
        for j, inst in enumerate(insts):
            rest = insts[:j] + insts[j + 1:]; who = f"{'' if inst[2] else 'zombie '}{inst[0]}.{inst[1]}"
            for label, e, d, new in self.act(ex, du, inst, starts):
                done = new == 'done' and inst[2] and inst[0] == r and phase == 'run'
                add(f'{who} {label}', e, d, rest if new in (None, 'done') else rest + (new,), fin=fin | (1 << inst[1] if done else 0))
            if inst[1] >= 0 and inst[2]:
                fault('crash', f'{who} CRASHES', insts=rest)
                fault('zombie', f'{who} IS GIVEN UP but runs on', insts=rest + (inst[:2] + (0,) + inst[3:],))
                if phase == 'run': fault('hedge', f'{who} IS DOUBLED', insts=insts + (inst[:3] + ('R', 0, 0, 0),))
        if ex: fault('loss', 'THE EXCHANGE IS LOST', ex=0)
        for name, b in BITS.items():
            if ex >> b & 1: fault('vanish', f'{name} VANISHES', ex=ex & ~(1 << b))
        if phase == 'run':
            for w in range(n):
                if not fin >> w & 1 and len(insts) < rules.slots and not any(x[:3] == (r, w, 1) for x in insts):
                    add(f'{r}.{w} starts', insts=insts + ((r, w, 1, 'R', 0, 0, 0),))
            if fin == (1 << n) - 1: add('', phase='commit')
            if r + 1 < len(rules.rounds):  # another allocation, in the middle of a round: commit what is complete
                c = starts[r][0] if rules.lanes == 'recomputed' else self.newest(ex, r, 0, starts[r][0])  # nobody has all lanes' states
                to = (c, r) if c > starts[r][0] else starts[r]
                fault('abandon', f'ROUND {r} IS CUT SHORT at {c}', du=du | self.manifest[r] | self.checkpoint(to), phase='sweep',
                      insts=tuple(x[:2] + (0,) + x[3:] for x in insts), starts=starts + (to,))
        if phase == 'commit' and du & self.manifest[r]: add('commit finds its manifest', phase='sweep')
        elif phase == 'commit':
            to = (starts[r][0] + rules.k, r); d = du
            if rules.finish == 'last step in exchange':
                if ex & self.cuts[r].whole[to[0]] != self.cuts[r].whole[to[0]]: return out  # nothing to copy, nobody to compute it
                d |= self.checkpoint(to)
            if d & self.checkpoint(to) != self.checkpoint(to): raise Bad('the manifest names an object that is not durable')
            add(f'commit {r}', du=d | self.manifest[r], phase='sweep', starts=starts + (to,))
        if phase == 'sweep':
            end = r + 1 == len(rules.rounds); swept = ex & ~sum(self.by_step[:starts[r + 1][0]])
            go_on = dict(du=du & ~(self.checkpoint(starts[r]) & ~self.checkpoint(starts[r + 1])), phase='clean' if end else 'run', r=r if end else r + 1, fin=0)
            add(f'commit {r} sweeps', swept, **go_on)
            if rules.stale: add(f'commit {r} lists nothing', **go_on)
            fault('commit', 'COMMIT CRASHES before its sweep', phase='commit')
            fault('commit', 'COMMIT IS GIVEN UP but runs on', ex=swept, insts=insts + ((r, -1, 0, 'R', 0, 0, 0),), **go_on)
        tidy = dict(ex=0, du=du & (sum(self.manifest) | self.checkpoint(starts[-1])))
        if phase == 'clean': add('cleanup', phase='wait' if rules.cleanups > 1 else 'end', **tidy)
        if phase == 'wait' and not insts: add('second cleanup', phase='end', **tidy)
        if phase == 'end' and not insts and (ex or du != tidy['du']): raise Bad('leak: the run has ended and objects are left')
        return out

def explore(rules, limit):
    """(states, most steps in the exchange at once, what is wrong or None, how it came about)."""
    model = Model(rules); ids = {model.start: 0}; order = [model.start]; parent = [None]; back = [[]]; good = []; most = n = 0
    def trace(n, path=()):
        while parent[n]: n, label = parent[n]; path = (label, *path) if label else path
        return path
    while n < len(order):
        state = order[n]
        try: edges = model.next(state)
        except Bad as bad: return len(order), most, str(bad), trace(n)
        if state[3] == 'end' and not state[2]: good.append(n)
        most = max(most, sum(1 for m in model.by_step if m & state[0]))
        for label, fault, to in edges:
            t = ids.setdefault(to, len(order))
            if t == len(order): order.append(to); parent.append((n, label)); back.append([])
            if not fault: back[t].append(n)
        if len(order) > limit: return len(order), most, 'NOT FINISHED', []
        n += 1
    ends = bytearray(len(order))
    while good:
        if not ends[n := good.pop()]: ends[n] = 1; good.extend(back[n])
    stuck = ends.find(0)
    return len(order), most, None if stuck < 0 else 'the run can no longer end', trace(stuck) if stuck >= 0 else []
ONE, TWO, THREE = ([0, 4], [0, 6]), ([0, 2, 4], [0, 3, 6]), ([0, 2, 3, 4], [0, 3, 5, 6])  # TWO and THREE share names
UNEVEN = ([0, 1, 3, 4], [0, 2, 4, 6])  # the middle worker's lanes are two nodes of the tree
SERVER = ([0, 2, 4], [0, 6, 6])  # the first worker owns everything
FOUR = ([0, 1, 2, 3, 4], [0, 2, 3, 5, 6])
SCENARIOS = {  # name: (does it hold?, rules)
    'no fault': (True, Rules([UNEVEN, TWO], faults=0, fine=True)),
    'one fault, fine': (True, Rules([TWO], fine=True)),
    'long: one fault, new allocation': (True, Rules([TWO, THREE])),
    'long: one fault, three workers': (True, Rules([UNEVEN])),
    'one fault, k = 3': (True, Rules([TWO, ONE], k=3)),
    'no slack': (True, Rules([TWO, TWO], slack=0)),
    'long: round cut short': (True, Rules([TWO, THREE], kinds='abandon')),
    'long: round cut short, swept by list': (True, Rules([TWO, THREE], kinds='abandon', sweep='list')),
    'round cut short, one step': (True, Rules([TWO, THREE], k=1, kinds='abandon')),
    'stale list': (True, Rules([TWO, TWO], stale=True)),
    'put again': (True, Rules([TWO], again=True)),
    'clipping': (True, Rules([TWO, TWO], clip=True)),
    'lane states, clipping': (True, Rules([TWO, ONE], lanes='exchanged', clip=True)),
    'lane states recomputed': (True, Rules([TWO, ONE], lanes='recomputed')),
    'lane states recomputed, three steps': (True, Rules([TWO], k=3, lanes='recomputed')),
    'long: lane states recomputed, three workers': (True, Rules([UNEVEN], lanes='recomputed')),
    'long: a crash and a lost name, lane states recomputed': (True, Rules([TWO], lanes='recomputed', kinds='crash vanish', faults=2)),
    'long: round cut short, lane states recomputed': (True, Rules([TWO, THREE], kinds='abandon', lanes='recomputed')),
    'params seen before state': (True, Rules([TWO, TWO], order='params state')),
    'own partials published too': (True, Rules([TWO], keeps=False)),
    'a lone worker publishes every step': (True, Rules([TWO, ONE], lone=False)),
    'a lone worker, then two': (True, Rules([ONE, TWO])),
    'weighted losses': (True, Rules([TWO, TWO], weigh=True)),
    'parameter server': (True, Rules([SERVER, TWO])),
    'parameter server, fine': (True, Rules([SERVER], fine=True)),
    'all-to-all': (True, Rules([TWO], topology='all-to-all')),
    'long: all-to-all, three workers': (True, Rules([UNEVEN], topology='all-to-all')),
    'all-reduce-leader': (True, Rules([TWO, TWO], topology='all-reduce-leader')),
    'long: all-reduce-leader, three workers': (True, Rules([UNEVEN], topology='all-reduce-leader')),
    'long: groups': (True, Rules([UNEVEN], groups=2)),
    'long: groups, fine': (True, Rules([UNEVEN], k=1, groups=2, fine=True)),
    'groups, one step': (True, Rules([UNEVEN], k=1, groups=2)),
    'deep: groups of two, four workers': (True, Rules([FOUR], k=1, groups=2)),
    'one slot, yielding': (True, Rules([TWO], slots=1, yields=True)),
    'long: two slots for three, yielding': (True, Rules([UNEVEN], slots=2, yields=True)),
    **{f'deep: two faults, {what}': (True, Rules([TWO], faults=2, **change)) for what, change in dict(plain={}, fine=dict(fine=True),
       slackless=dict(slack=0), again=dict(again=True), clipping=dict(clip=True), lanes=dict(lanes='exchanged'), recomputed=dict(lanes='recomputed')).items()},
    'deep: three faults, one worker': (True, Rules([ONE, ONE], k=1, faults=3)),
    'deep: round cut short and lost': (True, Rules([TWO, TWO], k=1, faults=2, kinds='abandon loss')),
    'few slots': (False, Rules([UNEVEN], slots=2, faults=0)),
    'params before state': (False, Rules([TWO], order='params state', complete='params', kinds='crash')),
    'complete is params': (False, Rules([TWO], complete='params', kinds='crash loss', faults=2)),
    'complete for me': (False, Rules([TWO], complete='params and own state', kinds='crash loss', faults=2)),
    'earlier params not needed': (False, Rules([TWO], lanes='recomputed', earlier=False, kinds='crash vanish', faults=2)),
    'wait forever': (False, Rules([TWO], waits='forever', kinds='zombie')),
    'wait as designed': (False, Rules([TWO], waits='design', kinds='loss')),
    'wait without looking for own names': (False, Rules([TWO], waits='jump', kinds='loss')),
    'skip by params': (False, Rules([TWO], skip='params', kinds='loss')),
    'skip by both, clipping': (False, Rules([TWO], skip='both', clip=True, kinds='loss')),
    'done when own is durable': (False, Rules([TWO], finish='own durable', kinds='crash loss', faults=2)),
    'commit copies from the exchange': (False, Rules([TWO], finish='last step in exchange', kinds='loss')),
    'no look at the manifest': (False, Rules([TWO, TWO], manifest=False, kinds='zombie')),
    'one cleanup': (False, Rules([TWO], cleanups=1, kinds='zombie')),
    'recipe changes, names do not': (False, Rules([TWO, TWO], lineage=False, kinds='abandon')),
}
if __name__ == '__main__':
    wrong = 0
    for name, (holds, rules) in SCENARIOS.items():
        if not any(word in name for word in sys.argv[1:]) and (sys.argv[1:] or name.startswith(('long', 'deep'))): continue
        began = time.time(); states, most, bad, path = explore(rules, 20_000_000)
        verdict = 'as expected:' if holds == (bad is None) else 'NOT AS EXPECTED:'; wrong += verdict[0] == 'N'
        print(f'{verdict} {name}: {bad or "holds"}; {states:,} states, at most {most} steps stored, {time.time() - began:.0f} s',
              *path, sep='\n    ', flush=True)
    sys.exit(wrong > 0)
