import type { GraphWriter } from '../graph-writer';
import { int } from '../onnx/graph';
import type { Tensor } from '../onnx/graph';
import type { Value } from '../shapes';
import { inputsOf } from '../vjp/rule';
import type { Lowering } from './lowering';

/** `[N, S, heads D]` to `[N, heads, S, D]`; a tensor of rank 4 is there already. */
function byHead(g: GraphWriter, x: Value, heads: number): Value {
  if (x.shape.length === 4) return x;
  const [samples = 1, length = 1, width = 1] = x.shape;
  return g.transpose(g.reshape(x, [samples, length, heads, width / heads]), [0, 2, 1, 3]);
}

function merged(g: GraphWriter, x: Value): Value {
  const [samples = 1, heads = 1, length = 1, width = 1] = x.shape;
  return g.reshape(g.transpose(x, [0, 2, 1, 3]), [samples, length, heads * width]);
}

/** Each head `times` times in a row: heads of queries share one of keys and values. */
function repeatedHeads(g: GraphWriter, x: Value, times: number): Value {
  if (times === 1) return x;
  const [samples = 1, heads = 1, length = 1, width = 1] = x.shape;
  const wide = g.expand(g.reshape(x, [samples, heads, 1, length, width]), [samples, heads, times, length, width]);
  return g.reshape(wide, [samples, heads * times, length, width]);
}

/** 0 where a query may look, -∞ elsewhere: query i sees keys up to i + `past`. */
function causalBias(queries: number, keys: number, past: number): Tensor {
  const data = Float32Array.from({ length: queries * keys }, (_, flat) => (flat % keys <= Math.floor(flat / keys) + past ? 0 : -Infinity));
  return { type: 'float32', shape: [queries, keys], data };
}

/** softmax(s Q·Kᵀ + mask)·V. Source: ONNX Attention-24; Vaswani et al. 2017. */
const attention: Lowering = (at, g) => {
  const inputs = inputsOf(at, ['Q', 'K', 'V', 'attn_mask?', 'past_key?', 'past_value?', 'nonpad_kv_seqlen?']);
  if (inputs.nonpad_kv_seqlen) throw at.refuse('its input nonpad_kv_seqlen', 'an attn_mask');
  const keyHeads = at.int('kv_num_heads', inputs.K.shape[1] ?? 1);
  const Q = byHead(g, inputs.Q, at.int('q_num_heads', inputs.Q.shape[1] ?? 1));
  const joined = (past: Value | undefined, now: Value) => (past ? g.concat([past, now], 2) : now);
  const key = joined(inputs.past_key, byHead(g, inputs.K, keyHeads));
  const value = joined(inputs.past_value, byHead(g, inputs.V, keyHeads));
  const [samples = 1, heads = 1, queries = 1, width = 1] = Q.shape;
  const keys = key.shape[2] ?? 1;
  const past = inputs.past_key?.shape[2] ?? 0;
  const times = heads / (key.shape[1] ?? 1);

  const scale = at.has('scale') ? at.float('scale', 1) : 1 / Math.sqrt(width);
  const raw = g.mul(g.matmul(Q, g.swapLast(repeatedHeads(g, key, times))), scale);
  const cap = at.float('softcap', 0);
  const capped = cap > 0 ? g.mul(g.unary('Tanh', g.mul(raw, 1 / cap)), cap) : raw;
  const biases = [
    inputs.attn_mask && bias(g, inputs.attn_mask, keys),
    at.int('is_causal', 0) === 1 ? g.constant(causalBias(queries, keys, past)) : undefined,
  ];
  const scores = biases.reduce<Value>((sum, each) => (each ? g.add(sum, each) : sum), capped);
  const weights = g.emit('Softmax', [scores], scores, { axis: int(3) });
  const Y = g.matmul(weights, repeatedHeads(g, value, times));
  const stages = [raw, scores, scores, weights];
  return [
    inputs.Q.shape.length === 3 ? merged(g, Y) : g.reshape(Y, [samples, heads, queries, value.shape[3] ?? 1]),
    key,
    value,
    stages[at.int('qk_matmul_output_mode', 0)],
  ];
};

/** A mask as what is added to the scores; keys that it does not reach are not seen. */
function bias(g: GraphWriter, mask: Value, keys: number): Value {
  const added = mask.type === 'bool' ? g.where(mask, g.scalar(0), g.scalar(-Infinity)) : mask;
  const missing = keys - (added.shape.at(-1) ?? 1);
  if (missing <= 0 || added.shape.at(-1) === 1) return added;
  return g.concat([added, g.full(added.shape.with(-1, missing), -Infinity)], -1);
}

/** Turns pairs of elements by an angle that grows with the position. Source: ONNX RotaryEmbedding-23; Su et al. 2021. */
const rotaryEmbedding: Lowering = (at, g) => {
  const { X, cos_cache, sin_cache, position_ids } = inputsOf(at, ['X', 'cos_cache', 'sin_cache', 'position_ids?']);
  const flat = X.shape.length === 3;
  const x = byHead(g, X, at.int('num_heads', 1));
  const [samples = 1, , length = 1, width = 1] = x.shape;
  const turned = at.int('rotary_embedding_dim', 0) || width;
  const half = turned / 2;
  const angle = (cache: Value) => {
    const chosen = position_ids
      ? g.emit('Gather', [cache, position_ids], { shape: [...position_ids.shape, ...cache.shape.slice(1)], type: cache.type })
      : cache;
    return g.reshape(chosen, [chosen.shape[0] ?? samples, 1, length, half]);
  };
  const [cos, sin] = [angle(cos_cache), angle(sin_cache)];
  const [rotating, rest] = turned === width ? [x] : (g.split(x, 3, [turned, width - turned]) as [Value, Value]);
  const interleaved = at.int('interleaved', 0) === 1;
  const [a, b] = interleaved ? pairsOf(g, rotating, half) : (g.split(rotating, 3, [half, half]) as [Value, Value]);
  const [first, second] = [g.sub(g.mul(a, cos), g.mul(b, sin)), g.add(g.mul(a, sin), g.mul(b, cos))];
  const joined = interleaved ? interleave(g, first, second) : g.concat([first, second], 3);
  const Y = rest ? g.concat([joined, rest], 3) : joined;
  return [flat ? merged(g, Y) : Y];
};

function pairsOf(g: GraphWriter, x: Value, half: number): [Value, Value] {
  const lead = x.shape.slice(0, 3);
  const [a, b] = g.split(g.reshape(x, [...lead, half, 2]), 4, [1, 1]) as [Value, Value];
  return [g.reshape(a, [...lead, half]), g.reshape(b, [...lead, half])];
}

function interleave(g: GraphWriter, a: Value, b: Value): Value {
  const apart = [...a.shape, 1];
  return g.reshape(g.concat([g.reshape(a, apart), g.reshape(b, apart)], 4), a.shape.with(3, 2 * (a.shape[3] ?? 1)));
}

export const attentionLowerings: Readonly<Record<string, Lowering>> = { Attention: attention, RotaryEmbedding: rotaryEmbedding };
