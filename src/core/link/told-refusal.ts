/** A refusal as it was heard: nothing proves it. */

import type { Micros } from '../base/time.ts';
import type { Refusal } from '../wire/refusal.ts';

/** What was said to a dial, by whoever sends from that address. */
export interface ToldRefusal extends Refusal {
  readonly from: string;
  readonly at: Micros;
}
