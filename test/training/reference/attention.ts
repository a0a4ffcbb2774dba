import type { Array64, Forward } from './arrays';
import { at, build, number, stretch, sum } from './arrays';

/** `[N, S, heads D]` seen as `[N, heads, S, D]`. */
const byHead = (x: Array64, heads: number): Array64 => {
  if (x.shape.length === 4) return x;
  const [n, s, width] = x.shape as [number, number, number];
  return build([n, heads, s, width / heads], ([i, head, t, d]) => at(x, [i!, t!, (head! * width) / heads + d!]));
};
const merged = (x: Array64): Array64 => {
  const [n, heads, s, d] = x.shape as [number, number, number, number];
  return build([n, s, heads * d], ([i, t, k]) => at(x, [i!, Math.floor(k! / d), t!, k! % d]));
};
const after = (past: Array64 | undefined, now: Array64): Array64 => {
  if (!past) return now;
  const length = past.shape[2]!;
  return build(now.shape.with(2, length + now.shape[2]!), (index) =>
    index[2]! < length ? at(past, index) : at(now, index.with(2, index[2]! - length)),
  );
};

export const attention64: Record<string, Forward> = {
  Attention: ([query, key, value, mask, pastKey, pastValue], options) => {
    const { q_num_heads, kv_num_heads, scale, softcap, is_causal } = options;
    const Q = byHead(query!, number(q_num_heads, 1));
    const K = after(pastKey, byHead(key!, number(kv_num_heads, 1)));
    const V = after(pastValue, byHead(value!, number(kv_num_heads, 1)));
    const [n, heads, queries, width] = Q.shape as [number, number, number, number];
    const keys = K.shape[2]!;
    const past = pastKey?.shape[2] ?? 0;
    const shared = heads / K.shape[1]!;
    const scores = build([n, heads, queries, keys], ([i, head, q, k]) => {
      const group = Math.floor(head! / shared);
      const dot = sum(Array.from({ length: width }, (_, d) => at(Q, [i!, head!, q!, d]) * at(K, [i!, group, k!, d])));
      const scaled = dot * number(scale, 1 / Math.sqrt(width));
      const capped = softcap ? number(softcap, 1) * Math.tanh(scaled / number(softcap, 1)) : scaled;
      if (is_causal && k! > q! + past) return -Infinity;
      if (!mask) return capped;
      const bias = stretch(mask, [i!, head!, q!, k!]);
      return mask.bool ? (bias ? capped : -Infinity) : capped + bias;
    });
    const Y = build([n, heads, queries, V.shape[3]!], ([i, head, q, d]) => {
      const exps = Array.from({ length: keys }, (_, k) => Math.exp(at(scores, [i!, head!, q!, k])));
      return sum(exps.map((e, k) => e * at(V, [i!, Math.floor(head! / shared), k, d!]))) / sum(exps);
    });
    return [query!.shape.length === 3 ? merged(Y) : Y, K, V];
  },
  RotaryEmbedding: ([x, cos, sin, positions], { num_heads, rotary_embedding_dim, interleaved }) => {
    const X = byHead(x!, number(num_heads, 1));
    const turned = number(rotary_embedding_dim, 0) || X.shape[3]!;
    const half = turned / 2;
    const angle = (cache: Array64, n: number, t: number, k: number) => (positions ? at(cache, [at(positions, [n, t]), k]) : at(cache, [n, t, k]));
    const Y = build(X.shape, ([n, head, t, d]) => {
      const read = (k: number) => at(X, [n!, head!, t!, k]);
      if (d! >= turned) return read(d!);
      const [pair, first] = interleaved ? [Math.floor(d! / 2), d! % 2 === 0] : [d! % half, d! < half];
      const [a, b] = interleaved ? [read(2 * pair), read(2 * pair + 1)] : [read(pair), read(pair + half)];
      const [c, s] = [angle(cos!, n!, t!, pair), angle(sin!, n!, t!, pair)];
      return first ? c * a - s * b : s * a + c * b;
    });
    return [x!.shape.length === 3 ? merged(Y) : Y];
  },
};
