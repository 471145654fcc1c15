/**
 * What an adversary of a laboratory does, by name, as far as one daemon can do it alone: it drops,
 * delays or damages what it should pass on, by either router, and takes part in all else.
 *
 * Injected into daemons as an operation (MISBEHAVE), which their configuration must allow, and
 * called by the simulator, whose adversaries do more (lab/adversary/adversary.ts). Owns no state
 * beyond the hooks that it sets and the packets that it holds back, at most HELD_MAX.
 */

import { SpinesError } from '../../core/base/errors.ts';
import type { NodeId } from '../../core/base/ids.ts';
import type { Rng } from '../../core/base/rng.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../../core/base/time.ts';
import type { ByzantineRouter } from '../../core/byzantine/byzantine-router.ts';
import type { Misbehaviour } from '../../core/byzantine/misbehaviour.ts';
import { DropReason } from '../../core/wire/drop.ts';
import { Packet } from '../../core/wire/packet.ts';
import { PROBED_ACK_HEAD_BYTES, ProbedAck, ProbedData } from '../../core/wire/probed.ts';
import {
  MISBEHAVIOURS,
  parseMisbehaviour,
  SIMULATED_MISBEHAVIOURS,
  type MisbehaviourName,
  type MisbehaviourOrder,
} from './misbehaviours.ts';
import { text } from '../../core/ipc/arguments.ts';
import type { NodeView } from '../../core/operator/node-view.ts';
import { byzantineOf, type ExtraOperation } from '../../core/operator/operation.ts';

/** What hooks act on and may use. */
export interface Laboratory {
  readonly node: NodeView;
  /** Null without identities. */
  readonly router: ByzantineRouter | null;
  readonly rng: Rng;
  /** Calls `action` as a turn of the node, `us` from now. */
  later(us: Micros, action: () => void): void;
}

/** Packets held back at once; more are dropped. */
const HELD_MAX = 4_096;

export type Deed = Misbehaviour & { onTransit?(packet: Packet, from: NodeId): boolean };
type Make = (lab: Laboratory, amount: number | null) => Deed;

const drop = (): boolean => true;
const blackHole = (): Deed => ({ onData: drop, onTransit: drop });

const DEEDS: Readonly<Record<Exclude<keyof typeof MISBEHAVIOURS, 'none'>, Make>> = {
  'black-hole': blackHole,
  'drop-data': blackHole,
  'drop-acks': () => ({ onAck: drop }),
  'drop-routes': () => ({ onRoute: drop }),
  'grey-hole': ({ rng }, part) => {
    const some = (): boolean => rng.chance(part ?? 0.3);
    return { onData: some, onTransit: some };
  },
  selective: (_lab, bytes) => {
    const long = ({ length }: Packet): boolean => length >= (bytes ?? 600);
    return { onData: long, onTransit: long };
  },
  // By the only sign of a search that there is: a tail of more than one layer.
  dynamic: () => {
    const data = new ProbedData();
    return {
      onData: (packet) => data.decode(packet) === DropReason.none && data.layers === 1,
      onTransit: drop,
    };
  },
  'corrupt-onion': ({ rng }) => {
    const data = new ProbedData();
    return {
      onData: (packet) => {
        if (data.decode(packet) === DropReason.none)
          flipBit(packet.bytes, data.sealedEnd + 4, data.end, rng);
        return false;
      },
    };
  },
  delay: (lab, ms) => delayed(lab, () => Math.round((ms ?? 50) * MILLISECOND)),
};

/**
 * From now on; throws SpinesError EINVAL for what is no such name, EOPNOTSUPP for what one daemon
 * can't do. Nothing without identities, where there is nothing to disturb.
 */
export function misbehave(
  node: NodeView,
  what: MisbehaviourName,
  { clock, timers, rng }: { readonly clock: Clock; readonly timers: Timers; readonly rng: Rng },
): void {
  const later = (us: Micros, action: () => void): void =>
    timers.arm(new Timer(action), clock.now() + us);
  const lab = { node, router: node.byzantine, rng: rng.fork('misbehaviour'), later };
  setDeed(lab, deedOf(lab, orderOf(what)));
}

/** The operation `misbehave`: {what: MisbehaviourName} makes a daemon do that from now on. */
export const MISBEHAVE: ExtraOperation = {
  name: 'misbehave',
  run: ({ node, env }, args, reply) => {
    if (!node.config.allowMisbehaviour) {
      throw new SpinesError(
        'EPERM',
        'this daemon may not be made to misbehave; start it with --allow-misbehaviour, or set ' +
          'laboratory.misbehaviour in its config',
      );
    }
    const what = text(args, 'what') as MisbehaviourName;
    byzantineOf(node);
    misbehave(node, what, env);
    env.log.warn({ what }, 'misbehaviour changed');
    reply({ what });
  },
};

/** What hooks an order means; null = it means honesty. */
export function deedOf(lab: Laboratory, { name, amount }: MisbehaviourOrder): Deed | null {
  if (name === 'none') return null;
  const make = (DEEDS as Readonly<Record<string, Make>>)[name];
  if (make === undefined)
    throw new SpinesError(
      'EOPNOTSUPP',
      `${name} needs a simulation: a daemon alone can do ` +
        `${Object.keys(MISBEHAVIOURS).join(', ')}; use \`spines replay --virtual\``,
    );
  return make(lab, amount);
}

export function setDeed(
  { node, router }: Pick<Laboratory, 'node' | 'router'>,
  deed: Deed | null,
): void {
  if (router !== null) router.misbehaviour = deed;
  node.dissemination.misbehaviour = deed;
}

export function orderOf(what: string): MisbehaviourOrder {
  const order = parseMisbehaviour(what);
  if (order !== null) return order;
  const names = Object.keys({ ...MISBEHAVIOURS, ...SIMULATED_MISBEHAVIOURS }).join(', ');
  throw new SpinesError(
    'EINVAL',
    `what must be one of ${names}, some with an amount as in grey-hole:0.3 or delay:50ms, not ` +
      `${what.slice(0, 40)}`,
  );
}

/** Data and acknowledgements go on, each after what `delayUs` says then. */
export function delayed(lab: Laboratory, delayUs: () => Micros): Deed {
  const { node, router } = lab;
  let held = 0;
  const hold = (action: () => void): boolean => {
    if (held >= HELD_MAX) return true;
    held += 1;
    lab.later(delayUs(), () => {
      held -= 1;
      action();
    });
    return true;
  };
  return {
    onData: (packet, from) => {
      const copy = copyOfPacket(packet);
      return hold(() => router?.forwarder.onData(copy, from));
    },
    onAck: (ack, from, service) => {
      const copy = copyOfAck(ack);
      return hold(() => router?.forwarder.onAck(copy, from, service));
    },
    onTransit: (packet) => {
      const copy = copyOfPacket(packet);
      return hold(() => node.router.nextHop(copy.destination)?.offer(copy));
    },
  };
}

export function copyOfPacket(packet: Packet): Packet {
  const copy = new Packet();
  copy.decode(packet.bytes.slice(packet.start, packet.end), 0, packet.length, false);
  return copy;
}

export function copyOfAck({ bytes, onionStart, end }: ProbedAck): ProbedAck {
  const copy = new ProbedAck(),
    start = onionStart - PROBED_ACK_HEAD_BYTES;
  copy.decode(bytes.slice(start, end), 0, end - start);
  return copy;
}

/** One of `b[start..end)`. */
export function flipBit(b: Uint8Array, start: number, end: number, rng: Rng): void {
  const bit = rng.below((end - start) * 8);
  b[start + (bit >> 3)]! ^= 1 << (bit & 7);
}
