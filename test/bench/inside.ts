/**
 * A process of the bench for what is measured within one: cost of the parts of a packet's way,
 * sealing from end to end, handshakes, memory, Byzantine-resilient routing.
 *
 * Started by main.ts, afresh for each order.
 */

import { measureByzantine } from './byzantine.js';
import { measureCost } from './cost.js';
import { measureHandshakes } from './handshakes.js';
import { measureMemory } from './memory.js';
import { measureReliable } from './secrecy-reliable.js';
import { measureSecrecy } from './secrecy.js';

export type InsideKind =
  | 'cost'
  | 'secrecy'
  | 'secrecy-reliable'
  | 'handshakes'
  | 'memory'
  | 'byzantine';
interface Order {
  readonly kind: InsideKind;
  readonly rounds: number;
  readonly durationMs: number;
}

process.on('message', ({ kind, rounds, durationMs }: Order) => {
  if (kind === 'cost') process.send!(measureCost(rounds));
  else if (kind === 'secrecy') process.send!(measureSecrecy(rounds));
  else if (kind === 'secrecy-reliable') process.send!(measureReliable(rounds));
  else if (kind === 'handshakes') process.send!(measureHandshakes(rounds, durationMs));
  else if (kind === 'byzantine') process.send!(measureByzantine(rounds, durationMs));
  else process.send!(measureMemory(rounds));
});
process.on('disconnect', () => process.exit(0));
