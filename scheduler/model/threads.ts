import type { DecisionInput, MicroSample } from '../../contracts/scheduling';
import { MAX_VCPUS, MIB_PER_VCPU } from '../constants';
import { median } from '../normal';

/** Below this the scatter of three iterations is all there is. */
const NOTICEABLE_SHARE = 0.05;
/** Sessions run one thread, so that weights keep their bits; garbage collection and input/output have the rest. */
const USUAL_SHARE = 0.01;

/** Share of a gradient's time that more than one vCPU speeds up: told, measured, or what is usual here. */
export const parallelShareOf = ({ parallelShare, microProbe = [] }: DecisionInput['program']): number =>
  parallelShare ?? Math.max(USUAL_SHARE, measuredShare(microProbe) ?? 0);

/**
 * By Amdahl's law from the same micro-batch on functions of
 * several sizes: t(v) / t(1) = 1 - share + share / v. Undefined where only one size was measured; 0 where it is not noticeable.
 */
function measuredShare(microProbe: readonly MicroSample[]): number | undefined {
  const vcpus = ({ memoryMib }: MicroSample) => Math.min(memoryMib / MIB_PER_VCPU, MAX_VCPUS);
  const shares = microProbe
    .filter((sample) => vcpus(sample) > 1)
    .flatMap((large) => {
      const one = microProbe.find((sample) => sample.samples === large.samples && vcpus(sample) === 1);
      return one ? [(1 - large.computeMs / one.computeMs) / (1 - 1 / vcpus(large))] : [];
    });
  if (shares.length === 0) return undefined;
  const share = Math.min(1, median(shares));
  return share < NOTICEABLE_SHARE ? 0 : share;
}
