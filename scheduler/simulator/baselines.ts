import { phasesOf, type Move, type StepPhases } from './step-phases';
import type { ExchangeModel, WorkerKind } from './world';

/** Other systems' exchanges, from their public code. All send float32 gradients: G bytes. */
export const baselines = ['smlt', 'lambdaml-leader', 'lambdaml-scatter', 'cirrus', 'siren', 'mlless', 'ring'] as const;
export type Baseline = (typeof baselines)[number];

/** Share of the gradient that MLLess's significance filter lets through. Source: its sparse models; assumed for dense ones. */
const SIGNIFICANT_SHARE = 0.1;

/**
 * What one step of n workers moves.
 * `smlt`, `lambdaml-scatter`: n shards, each added up by one worker: 3G + G/n a worker, 3n + 1 requests.
 * `lambdaml-leader`: one worker adds everything up. `cirrus`: a parameter server takes G and gives G.
 * `siren`: everybody reads everybody's gradient. `mlless`: the same with what is significant.
 * `ring`: an all-reduce between machines, 2G (n - 1)/n each, in 2 (n - 1) turns.
 */
export function baselinePhases(system: Baseline, gradientBytes: number, workers: number, exchange: ExchangeModel): StepPhases {
  const shares = new Float64Array(workers).fill(1 / workers);
  if (workers === 1) return { shares, phases: [], puts: 0, gets: 0 };
  const all = (move: Move): Move[] => new Array<Move>(workers).fill(move);
  const put = (bytes: number, puts = 1): Move => ({ bytes, puts, gets: 0 });
  const get = (bytes: number, gets = 1): Move => ({ bytes, puts: 0, gets });
  const idle: Move = { bytes: 0, puts: 0, gets: 0 };
  const made = (...moves: Move[][]) => phasesOf(shares, moves, exchange);
  const G = gradientBytes;
  switch (system) {
    case 'smlt':
    case 'lambdaml-scatter':
      return made(all(put(G, workers)), all({ bytes: G + G / workers, puts: 1, gets: workers }), all(get(G, workers)));
    case 'lambdaml-leader':
      return made(all(put(G)), [{ bytes: (workers + 1) * G, puts: 1, gets: workers }, ...all(idle).slice(1)], all(get(G)));
    case 'cirrus':
      return made(all(put(G)), all(idle), all(get(G)));
    case 'siren':
      return made(all(put(G)), all(get(workers * G, workers)), all(idle));
    case 'mlless':
      return made(all(put(SIGNIFICANT_SHARE * G)), all(get(workers * SIGNIFICANT_SHARE * G, workers)), all(idle));
    case 'ring': {
      const half = (G * (workers - 1)) / workers;
      const turns = 8 * (workers - 1); // phasesOf keeps 8 requests in flight, and a ring's turns follow each other
      return made(all(put(half, turns)), all(get(half, turns)), all(idle));
    }
  }
}

/** A virtual machine: provisioning by cluster size, charged by the second, 60 at least. */
export interface MachineType {
  readonly vcpus: number;
  readonly usdPerHour: number;
}
/** us-east-1, on demand. Source: AWS EC2 pricing. */
export const machineTypes = {
  'm5.large': { vcpus: 2, usdPerHour: 0.096 },
  'c5.large': { vcpus: 2, usdPerHour: 0.085 },
} as const satisfies Record<string, MachineType>;

/** Provisioning of a cluster, s. Source: LambdaML's analytic model: 132 at 10 machines, 160 at 50, 292 at 100, 606 at 200. */
const PROVISIONING = [
  [10, 132],
  [50, 160],
  [100, 292],
  [200, 606],
] as const;
export function provisioningMs(machines: number): number {
  const after = PROVISIONING.findIndex(([count]) => count >= machines);
  if (after === 0) return PROVISIONING[0][1] * 1_000;
  const [[n0, s0], [n1, s1]] = after < 0 ? [PROVISIONING[2], PROVISIONING[3]] : [PROVISIONING[after - 1]!, PROVISIONING[after]!];
  return (s0 + ((s1 - s0) * (machines - n0)) / (n1 - n0)) * 1_000;
}
const HOUR_MS = 3_600_000;
/** @param isOn  the machines run already, so nothing is provisioned */
export const machineWorkers = ({ vcpus, usdPerHour }: MachineType, isOn = false): WorkerKind => ({
  vcpus: () => vcpus,
  usdPerMs: () => usdPerHour / HOUR_MS,
  usdPerStart: 0,
  leastBilledMs: isOn ? 1 : 60_000,
  limitMs: Infinity,
  startMs: (machines) => (isOn ? 0 : provisioningMs(machines)),
  startSpreadMs: 0,
});
/** Between machines nothing is stored: 0.15 ms and a c5.large's 225 MB/s. Source: LambdaML's constants. */
export const machineNetwork: ExchangeModel = {
  ...{ latencyMs: 0.15, workerBytesPerMs: 225_000, storeBytesPerMs: Infinity, requestsPerMs: Infinity },
  ...{ usdPerHour: 0, usdPerPut: 0, usdPerGet: 0, usdPerByte: 0 },
};
