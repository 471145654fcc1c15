/**
 * Numbers of this run that no flow may use twice: counters that keys go with, and those of
 * messages.
 *
 * Owns both, by destination. They are never forgotten in a run, as keys would be used twice and the
 * destination takes no message number twice; at most one for each node of the network (and each
 * link service).
 */

import type { NodeId } from '../base/ids.ts';
import { flowNumber } from './flow-table.ts';
import type { MessageNumbers } from './source-flow.ts';

export class FlowNumbers {
  readonly #counters = new Map<NodeId, number>();
  readonly #messages = new Map<number, MessageNumbers>();

  /** The next counter for packets to `destination`. `@hot` */
  nextCounter(destination: NodeId): number {
    const counter = this.#counters.get(destination) ?? 0;
    this.#counters.set(destination, counter + 1);
    return counter;
  }

  /** Those of messages to `destination` by `service`, over all flows. */
  ofMessages(destination: NodeId, service: number): MessageNumbers {
    const name = flowNumber(destination, service);
    let numbers = this.#messages.get(name);
    if (numbers === undefined) this.#messages.set(name, (numbers = { next: 0 }));
    return numbers;
  }
}
