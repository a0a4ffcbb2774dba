import type { Forward } from './arrays';
import { attention64 } from './attention';
import { elementwise } from './elementwise';
import { gathers } from './gathers';
import { losses } from './losses';
import { norms } from './norms';
import { products } from './products';
import { recurrent64 } from './recurrent';
import { reductions } from './reductions';
import { shapes } from './shapes';
import { windows } from './windows';

/** Every operator's forward in float64. */
export const reference: Record<string, Forward> = {
  ...elementwise,
  ...reductions,
  ...shapes,
  ...gathers,
  ...products,
  ...windows,
  ...norms,
  ...recurrent64,
  ...attention64,
  ...losses,
};
