/**
 * What an adversary has: an ear and a hand on every wire, a handshake of his own, and source
 * addresses of his choice.
 *
 * Owns no network. `Tap` goes in as a network's `onArrival`; `Stranger` makes handshake messages
 * with any identity; `counted` tells what a victim thought of what it was sent.
 */

import { makeEndpoint, type Endpoint } from '../../src/core/base/datagram.ts';
import { getU32, getU48 } from '../../src/core/base/bytes.ts';
import type { Membership } from '../../src/core/crypto/membership.ts';
import type { Call } from '../../src/core/link/handshaker.ts';
import { SealedHandshaker } from '../../src/core/link/sealed-handshaker.ts';
import type { SimHost, Wire } from '../../src/lab/sim/world.ts';
import {
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
} from '../../src/core/wire/datagram-header.ts';
import { DATAGRAM_BYTES_MAX } from '../../src/core/wire/sizes.ts';

export interface Captured {
  readonly from: SimHost;
  readonly to: SimHost;
  readonly bytes: Uint8Array;
}

/** A man in the middle of all wires. */
export class Tap {
  /** Copies of what arrived, in order; emptied by whoever wants a fresh start. */
  seen: Captured[] = [];
  recording = true;
  /** Called for each arrival; false = it does not arrive. */
  rule: (wire: Wire, bytes: Uint8Array) => boolean = () => true;

  readonly onArrival = (wire: Wire, bytes: Uint8Array): boolean => {
    if (this.recording) this.seen.push({ from: wire.from, to: wire.to, bytes: bytes.slice() });
    return this.rule(wire, bytes);
  };

  /** What `from` sent to `to` of one type, in order. */
  of(type: number, from: SimHost, to: SimHost): Uint8Array[] {
    return this.seen
      .filter((one) => one.from === from && one.to === to && one.bytes[0] === type)
      .map((one) => one.bytes);
  }

  inits(from: SimHost, to: SimHost): Uint8Array[] {
    return this.of(DATAGRAM_SEALED_INIT, from, to);
  }

  responses(from: SimHost, to: SimHost): Uint8Array[] {
    return this.of(DATAGRAM_SEALED_RESPONSE, from, to);
  }

  data(from: SimHost, to: SimHost): Uint8Array[] {
    return this.of(DATAGRAM_SEALED_DATA, from, to);
  }
}

export function isData(bytes: Uint8Array): boolean {
  return bytes[0] === DATAGRAM_SEALED_DATA;
}

export function indexOf(bytes: Uint8Array): number {
  return getU32(bytes, 2);
}

export function numberOf(bytes: Uint8Array): number {
  return getU48(bytes, 6);
}

/** An address that belongs to no host of the network. */
export function elsewhere(number = 0): Endpoint {
  return makeEndpoint(`198.51.${(number >>> 8) & 255}.${number & 255}`, 4_000 + (number >>> 16));
}

/** Somebody outside of any daemon who speaks the handshake. */
export class Stranger {
  readonly handshaker: SealedHandshaker;
  /** What it sent by itself: cookies and keys. */
  readonly sent: { to: Endpoint; bytes: Uint8Array }[] = [];
  #index = 1_000;

  constructor(membership: Membership) {
    const clock = { now: () => Math.max(0, membership.wallUs) };
    this.handshaker = new SealedHandshaker(membership, clock, {
      congested: false,
      send: (to, bytes, length) => {
        this.sent.push({ to, bytes: bytes.slice(0, length) });
      },
    });
  }

  /** A fresh call of whoever has `key`. */
  call(key: Uint8Array, change: Partial<Call> = {}): Call {
    this.#index += 1;
    return {
      node: null,
      key,
      index: this.#index,
      attempts: 0,
      continues: 0,
      secrets: null,
      ...change,
    };
  }

  /** The INIT of a call. */
  init(call: Call, instance = 7): Uint8Array {
    const out = new Uint8Array(DATAGRAM_BYTES_MAX);
    return out.slice(0, this.handshaker.writeInit(call, { instance, started: 0 }, out));
  }
}

/** A datagram from anywhere. */
export function inject(victim: SimHost, bytes: Uint8Array, from: Endpoint): void {
  victim.onDatagram(bytes.slice(), from);
}

/** By how much the victim's drops grew during `action`, by reason. */
export function counted(victim: SimHost, action: () => void): Record<string, number> {
  const before = victim.node.drops.snapshot();
  action();
  const after = victim.node.drops.snapshot();
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}

/** What the victim thinks of one datagram. */
export function verdict(
  victim: SimHost,
  bytes: Uint8Array,
  from: Endpoint,
): Record<string, number> {
  return counted(victim, () => inject(victim, bytes, from));
}

/** Key exchanges that strangers made the host work out so far. */
export function workedBy(host: SimHost): number {
  const { handshaker } = host.node.links;
  if (!(handshaker instanceof SealedHandshaker)) throw new Error(`${host.name} is not sealed`);
  return handshaker.worked;
}
