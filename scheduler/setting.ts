import { shapeKey } from '../contracts/allocation';
import type { Observation } from '../contracts/scheduling';

/** The same text for rounds whose steps should take as long. */
export const settingKey = ({ allocation, batchSize, compression }: Pick<Observation, 'allocation' | 'batchSize' | 'compression'>): string =>
  `${shapeKey(allocation)} of ${batchSize}${compression === undefined ? '' : ` by ${JSON.stringify(compression)}`}`;
