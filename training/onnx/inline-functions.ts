import type { RawAttribute, RawFunction, RawGraph, RawModel, RawNode } from './raw';
import { invalid } from './raw';

/**
 * Replaces every call of a model-local function by the function's nodes. Values and nodes inside get the call's name as
 * prefix. Attributes that refer to the function's own take the call's value, else the function's default, else are left out.
 * Source: ONNX IR, "Functions".
 */
export function withoutFunctions(raw: RawModel & { graph: RawGraph }): RawModel & { graph: RawGraph } {
  const functions = new Map((raw.functions ?? []).map((each) => [keyOf(each.domain, each.name, each.overload), each]));
  if (functions.size === 0) return raw;
  const inlined = (nodes: readonly RawNode[], path: readonly string[]): RawNode[] =>
    nodes.flatMap((node, index) => {
      const key = keyOf(node.domain, node.opType, node.overload);
      const called = functions.get(key);
      if (!called) return node;
      if (path.includes(key)) throw invalid(`the model's function ${called.name} calls itself; expected functions that do not recurse`);
      return inlined(bodyOf(called, node, node.name || `${called.name}#${index}`), [...path, key]);
    });
  return { ...raw, functions: [], graph: { ...raw.graph, node: inlined(raw.graph.node ?? [], []) } };
}

const keyOf = (domain = '', name = '', overload = ''): string => `${domain === 'ai.onnx' ? '' : domain}\n${name}\n${overload}`;

function bodyOf(called: RawFunction, call: RawNode, prefix: string): RawNode[] {
  const names = new Map<string, string>();
  (called.input ?? []).forEach((name, i) => names.set(name, call.input?.[i] ?? ''));
  const made = new Set((called.node ?? []).flatMap(({ output = [] }) => output));
  // An output that is one of the function's inputs is handed through.
  const through: RawNode[] = [];
  (called.output ?? []).forEach((name, i) => {
    const outside = call.output?.[i];
    if (!outside) return;
    if (made.has(name) && !names.has(name)) names.set(name, outside);
    else through.push({ opType: 'Identity', name: `${prefix}/${name}`, input: [names.get(name) ?? ''], output: [outside] });
  });
  const given = new Map([...(called.attributeProto ?? []), ...(call.attribute ?? [])].map((attribute) => [attribute.name, attribute]));
  const renamed = (name: string): string => (name === '' ? '' : (names.get(name) ?? `${prefix}/${name}`));
  const body = (called.node ?? []).map((node, i): RawNode => ({
    ...node,
    name: `${prefix}/${node.name || `${node.opType}#${i}`}`,
    input: (node.input ?? []).map(renamed),
    output: (node.output ?? []).map(renamed),
    attribute: (node.attribute ?? []).flatMap((attribute) => resolved(attribute, given, renamed)),
    docString: node.docString || call.docString || '',
    metadataProps: node.metadataProps?.length ? node.metadataProps : (call.metadataProps ?? []),
  }));
  return [...body, ...through];
}

function resolved(attribute: RawAttribute, given: ReadonlyMap<string, RawAttribute>, renamed: (name: string) => string): RawAttribute[] {
  if (attribute.refAttrName) {
    const value = given.get(attribute.refAttrName);
    return value ? [{ ...value, name: attribute.name }] : [];
  }
  return [attribute.g ? { ...attribute, g: renamedGraph(attribute.g, renamed) } : attribute];
}

/** A sub-graph sees the function's values; its own are renamed alike, since all its names are. */
function renamedGraph(graph: RawGraph, renamed: (name: string) => string): RawGraph {
  return {
    ...graph,
    node: (graph.node ?? []).map((node) => ({
      ...node,
      input: (node.input ?? []).map(renamed),
      output: (node.output ?? []).map(renamed),
      attribute: (node.attribute ?? []).map((attribute) => (attribute.g ? { ...attribute, g: renamedGraph(attribute.g, renamed) } : attribute)),
    })),
    initializer: (graph.initializer ?? []).map((tensor) => ({ ...tensor, name: renamed(tensor.name ?? '') })),
    input: (graph.input ?? []).map((value) => ({ ...value, name: renamed(value.name ?? '') })),
    output: (graph.output ?? []).map((value) => ({ ...value, name: renamed(value.name ?? '') })),
  };
}
