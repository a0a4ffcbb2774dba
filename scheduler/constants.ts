/** Numbers that the scheduler rests on, each with its source. "Rules": the specification of this room, measured on prototypes before it was built. */

/** One vCPU of AWS Lambda, and the most a function gets. Source: AWS Lambda documentation, "Configure memory". */
export const MIB_PER_VCPU = 1_769;
export const MAX_VCPUS = 6;
/** Memory sizes worth telling apart: where Lambda's vCPU count changes, and halves below one vCPU. Source: rules, section 3. */
export const MEMORY_GRID_MIB = [256, 512, 1_024, 1_769, 2_560, 3_538, 5_307, 7_076, 8_845, 10_240] as const;
/** Source: rules, section 3; lanes bound the number of workers by 1,024. */
export const WORKER_GRID = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024] as const;
/** Source: AWS Lambda quotas. 30 s are kept to stop at a step boundary. */
export const FUNCTION_LIMIT_MS = 900_000;
export const FUNCTION_DRAIN_MS = 30_000;
/** Network bandwidth of a function with one vCPU; less memory has its square root. Source: rules, section 2. */
export const WORKER_BYTES_PER_MS = 75_000;

/** Multiply-adds of ONNX Runtime on one core: LeNet trained at 25 GFLOP/s, larger nets slower; half of it errs on the safe side. */
export const FLOPS_PER_MS = 12e6;
/** Gradients cost twice the forward pass again. Source: Griewank and Walther 2008, section 4.6. */
export const TRAINING_PER_FORWARD_FLOPS = 3;
/** Node and ONNX Runtime before the first tensor, and bytes a parameter (weight, gradient, two moments). Source: rules, section 2. */
export const BASE_MEMORY_MIB = 180;
export const BYTES_PER_PARAMETER = 16;
/** Above this share of a function's memory an allocation is refused. Source: rules, section 2. */
export const SAFE_MEMORY_SHARE = 0.9;
/** Above this share collecting garbage slows a function down. Source: rules, section 2. */
export const KNEE_MEMORY_SHARE = 0.7;

/** A cold start, its spread by worker, and further instances beyond a burst of 1,000. Source: rules, section 2; AWS scaling of 1,000 each 10 s. */
export const COLD_START_MS = 400;
export const START_SPREAD_MS_PER_WORKER = 10;
export const BURST_WORKERS = 1_000;
export const BURST_REFILL_MS = 10_000;
/** A round's cost in the workflow: 61 ms with 8 activities on a tuned development server. */
export const ORCHESTRATION_MS = 60;
/** Share of a round's time that orchestration may take. */
export const ORCHESTRATION_SHARE = 0.05;
/** Idle connections are cut after about 5 minutes. */
export const LONGEST_ROUND_MS = 300_000;
/** Until three rounds are seen at an allocation, so that the first real window can overrule the plan soon. */
export const LONGEST_EARLY_ROUND_MS = 60_000;
export const EARLY_ROUNDS = 3;
export const SHORTEST_ROUND_MS = 1_000;
/** Looks at the plan during what remains: each round's end is a free switching point. */
export const ROUNDS_AHEAD = 20;

/** Kept back from every limit. Source: rules, section 5, rule 2. */
export const LIMIT_SHARE = 0.99;
/** Of what is left of a limit while the work runs: the rest is for what nobody announces, and comes free as work gets done. Source: docs/decisions/0127. */
export const RUN_LIMIT_SHARE = 0.97;
/** Probability of keeping every limit that a plan must have; below REFUSE nothing will do. Source: rules, section 5. */
export const ACCEPT_FEASIBILITY = 0.7;
/** The standard normal quantile of it. */
export const ACCEPT_Z = 0.5244005127080407;
export const STAY_FEASIBILITY = 0.65;
export const SWITCH_FEASIBILITY_GAIN = 0.1;
export const REFUSE_FEASIBILITY = 0.05;
export const INCUMBENT_FEASIBILITY = 0.5;
/** Where nothing keeps the limits: the cheapest within so much of the least violation; once a run is under way, hardly any. Source: rules, 4; docs/decisions/0127. */
export const LEAST_VIOLATION_SLACK = 1.1;
export const HURRY_SLACK = 1.02;
export const RESCUE_FACTOR = 2;
/** A round may cost this many times its p95 before a limit of money is passed: the world may change in it, and it is billed before anybody knows. Source: docs/decisions/0101. */
export const ROUND_OVERRUN = 4;
/** A round that has cost so many times its p95 stops by itself, where that is more than its share of what is left. Source: docs/decisions/0126. */
export const ROUND_STOP = 2;
/** Kept back of what is left: functions look once a second, and finish the gradient that they are at. */
export const SPEND_SHARE = 0.95;
/** Source: rules, section 5, rules 1 and 7. */
export const PROBE_MIN_GAIN = 0.01;
export const PROBE_SPEND_SHARE = 0.1;
export const SWITCH_MIN_GAIN = 0.04;
/** Of all the work: a tenth of what a last tenth costs is no gain. */
export const SWITCH_MIN_GAIN_OF_ALL = 0.01;
/** Who gains by a change must be this sure of the limits, or dearer and cheaper allocations take turns. Source: docs/decisions/0127. */
export const SWITCH_FEASIBILITY = 0.85;
export const MAX_SWITCHES = 12;
/** A gain must be clear of the two predictions' error, and of more with every change made. Source: docs/decisions/0053. */
export const SWITCH_GAIN_SDS = 0.5;
export const SWITCH_GAIN_RISE = 0.25;
export const MAX_GAIN_SWITCHES = 8;
/** A lossy method must gain this share of the objective: its time is extrapolated from what was seen without it, and its loss is for ever. */
export const METHOD_MIN_GAIN = 0.1;
/** Where limits are kept with less than this, another allocation is looked at that is so much likelier, for this share of what is left. Source: docs/decisions/0127. */
export const RESCUE_LOOK_RISK = 0.5;
export const RESCUE_LOOK_CHANCE = 1.5;
export const RESCUE_LOOK_LEAST_CHANCE = 0.03;
export const RESCUE_LOOK_SHARE = 0.01;
/** Objectives this near are a tie, which the other objective breaks. */
export const TIE = 0.005;
/** A probe's steps and longest time. Source: rules, section 3, step 4. */
export const PROBE_MIN_STEPS = 2;
export const PROBE_MAX_STEPS = 8;
export const PROBE_MAX_MS = 15_000;
/** A first look that nothing measured backs: 100 times as slow as counted, a second of steps would be minutes. */
export const PROBE_MAX_BLIND_STEPS = 64;

/** Noise of a step's time (SD of its logarithm): repeats of real runs have 0.025 to 0.05, never trusted below 0.04. Source: rules, 1 and 3. */
export const DEFAULT_NOISE = 0.05;
export const LEAST_NOISE = 0.04;
export const NOISE_MARGIN = 1.2;
/** What an earlier run saw holds within a factor of about 1.35 (one SD): another day, other neighbours. Transfer helps in the median and hurts in the tail. Source: rules, section 4. */
export const EARLIER_NOISE = 0.3;
/** What another program's run saw, once its bytes, requests and operations are counted out: within a factor of 1.6 (one SD). */
export const RELATED_NOISE = 0.5;
/** A cold round includes first-run compilation: trusted half as much. */
export const COLD_NOISE_FACTOR = 1.25;
/**
 * How far truth may leave the features (SD of the logarithm, a Matérn-5/2 process), and how likely before measuring; what
 * was measured chooses among them. One fixed amplitude is wrong on most surfaces. Source: docs/decisions/0051.
 */
export const RESIDUAL_AMPLITUDES = [
  { amplitude: 0.03, logPrior: Math.log(0.25) },
  { amplitude: 0.1, logPrior: Math.log(0.3) },
  { amplitude: 0.2, logPrior: Math.log(0.25) },
  { amplitude: 0.4, logPrior: Math.log(0.2) },
] as const;
export const RESIDUAL_LENGTH = 0.35;

/** A probe that met a straggler is 1.3 to 2.5 times slower than others. Source: rules, section 4. */
export const STRAGGLER_SHARE = 0.06;
export const STRAGGLER_LOG_MEAN = 0.55;
export const STRAGGLER_LOG_SD = 0.25;

/** Drift of a configuration against its own first rounds: CUSUM with k = 0.5 and h = 5 in units of a window's noise. Source: rules, section 5, rule 5. */
export const DRIFT_BASELINE_ROUNDS = 3;
export const DRIFT_NOISE = 0.03;
export const DRIFT_SLACK = 0.5;
export const DRIFT_THRESHOLD = 5;
/** From so many rounds on a compacted mean is steady. */
export const DRIFT_STEADY_ROUNDS = 10;
/** What one round may add to the sum. Source: docs/decisions/0053. */
export const DRIFT_MOST_OF_ROUND = 3.5;
export const MOVED_SHARE = 0.1;
/** What was measured before a drift and scaled to today is trusted this far. */
export const SCALED_NOISE = 0.06;

/** Functions that gradients are measured on alone: one, two and four vCPUs. Source: rules, section 3, step 1. */
export const MICRO_PROBE_SIZES_MIB = [1_769, 3_538, 7_076] as const;
/** What that may cost, of the budget and of the work. Source: rules, sections 3 and 4: 0.5 % of a job, with the first look. */
export const MICRO_PROBE_SHARE = 0.005;
/** What it may take of the time: a look is short beside the work, or it is not worth waiting for. */
export const MICRO_PROBE_TIME_SHARE = 0.02;
