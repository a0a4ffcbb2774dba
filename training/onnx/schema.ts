/**
 * The part of onnx.proto that smlt reads and writes, as a protobufjs descriptor. Field numbers are ONNX's
 * (onnx/onnx.proto, IR version 10). Unknown fields of a file are skipped.
 */
const field = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number, packed = false) => ({ rule: 'repeated', type, id, ...(packed ? {} : { options: { packed: false } }) });

export const onnxSchema = {
  nested: {
    Model: {
      fields: {
        irVersion: field('int64', 1),
        producerName: field('string', 2),
        producerVersion: field('string', 3),
        graph: field('Graph', 7),
        opsetImport: repeated('OperatorSet', 8),
        functions: repeated('Function', 25),
      },
    },
    StringStringEntry: { fields: { key: field('string', 1), value: field('string', 2) } },
    OperatorSet: { fields: { domain: field('string', 1), version: field('int64', 2) } },
    Function: {
      fields: {
        name: field('string', 1),
        input: repeated('string', 4),
        output: repeated('string', 5),
        attribute: repeated('string', 6),
        node: repeated('Node', 7),
        opsetImport: repeated('OperatorSet', 9),
        domain: field('string', 10),
        attributeProto: repeated('Attribute', 11),
        overload: field('string', 13),
      },
    },
    Graph: {
      fields: {
        node: repeated('Node', 1),
        name: field('string', 2),
        initializer: repeated('Tensor', 5),
        input: repeated('ValueInfo', 11),
        output: repeated('ValueInfo', 12),
        metadataProps: repeated('StringStringEntry', 16),
      },
    },
    Node: {
      fields: {
        input: repeated('string', 1),
        output: repeated('string', 2),
        name: field('string', 3),
        opType: field('string', 4),
        attribute: repeated('Attribute', 5),
        domain: field('string', 7),
        overload: field('string', 8),
        docString: field('string', 6),
        metadataProps: repeated('StringStringEntry', 9),
      },
    },
    Attribute: {
      fields: {
        name: field('string', 1),
        f: field('float', 2),
        i: field('int64', 3),
        s: field('bytes', 4),
        g: field('Graph', 6),
        t: field('Tensor', 5),
        floats: repeated('float', 7),
        ints: repeated('int64', 8),
        strings: repeated('bytes', 9),
        type: field('int32', 20),
        refAttrName: field('string', 21),
      },
    },
    Tensor: {
      fields: {
        dims: repeated('int64', 1),
        dataType: field('int32', 2),
        floatData: repeated('float', 4, true),
        int32Data: repeated('int32', 5, true),
        int64Data: repeated('int64', 7, true),
        name: field('string', 8),
        rawData: field('bytes', 9),
        doubleData: repeated('double', 10, true),
        externalData: repeated('StringStringEntry', 13),
        dataLocation: field('int32', 14),
      },
    },
    ValueInfo: { fields: { name: field('string', 1), type: field('Type', 2) } },
    Type: { fields: { tensorType: field('TensorType', 1) } },
    TensorType: { fields: { elemType: field('int32', 1), shape: field('Shape', 2) } },
    Shape: { fields: { dim: repeated('Dimension', 1) } },
    Dimension: { fields: { dimValue: field('int64', 1), dimParam: field('string', 2) } },
  },
};
