import type { Input, Row } from './row';

const cells = [
  { op: 'RNN', gates: 1, states: 1 },
  { op: 'GRU', gates: 3, states: 1 },
  { op: 'LSTM', gates: 4, states: 2 },
];
/** Three steps of two samples of two values, two units: X, W, R, B. */
const weights = (gates: number, directions: number): Input[] => [
  [3, 2, 2],
  [directions, gates * 2, 2],
  [directions, gates * 2, 2],
  [directions, gates * 4],
];

export const recurrent: readonly Row[] = [
  ...cells.flatMap(({ op, gates, states }) =>
    [
      {},
      { direction: 'reverse' },
      { direction: 'bidirectional' },
      ...(op === 'GRU' ? [{ linear_before_reset: 1 }, { linear_before_reset: 1, direction: 'bidirectional' }] : []),
    ].map((options): Row => {
      const directions = options.direction === 'bidirectional' ? 2 : 1;
      return {
        op,
        inputs: [...weights(gates, directions), undefined, ...Array.from({ length: states }, () => [directions, 2, 2])],
        options: { ...options, hidden_size: 2 },
        use: { outputs: states + 1, joined: [0, states] },
      };
    }),
  ),
  ...cells.flatMap(({ op, gates, states }): Row[] => [
    { op, inputs: weights(gates, 1).slice(0, 3), options: { hidden_size: 2 }, use: { outputs: states + 1, joined: [0] } },
    {
      op,
      inputs: [...weights(gates, 2), { fixed: [3, 1], type: 'int32' }],
      options: { hidden_size: 2, direction: 'bidirectional' },
      use: { outputs: states + 1, joined: [0, 1] },
    },
    {
      op,
      inputs: [[2, 3, 2], ...weights(gates, 1).slice(1), undefined, [2, 1, 2]],
      options: { hidden_size: 2, layout: 1 },
      use: { outputs: states + 1, joined: [0, 1] },
      notInRuntime: 'it takes layout 0 only',
    },
  ]),
  {
    op: 'RNN',
    inputs: weights(1, 2),
    options: { hidden_size: 2, direction: 'bidirectional', activations: ['Relu', 'LeakyRelu'], activation_alpha: [0.25] },
  },
  {
    op: 'GRU',
    inputs: weights(3, 1),
    options: { hidden_size: 2, activations: ['HardSigmoid', 'Softsign'], activation_alpha: [0.15], activation_beta: [0.4] },
  },
  { op: 'LSTM', inputs: weights(4, 1), options: { hidden_size: 2, activations: ['Sigmoid', 'Softsign', 'Elu'], activation_alpha: [0.5] } },
  { op: 'LSTM', inputs: [...weights(4, 1), undefined, undefined, undefined, [1, 6]], options: { hidden_size: 2 } },
  {
    op: 'LSTM',
    inputs: [...weights(4, 1), undefined, [1, 2, 2], [1, 2, 2], [1, 6]],
    options: { hidden_size: 2, input_forget: 1 },
    use: { outputs: 3, joined: [0, 2] },
  },
  { op: 'LSTM', inputs: weights(4, 1), options: { hidden_size: 2, clip: 0.5 } },
];
