/**
 * Two ends of sealed sessions and a router between them that does what a story wants: it writes
 * down, alters, withholds, or sends on what it has seen before.
 */

import { expect } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND } from '../../src/core/base/time.ts';
import { DropReason, refusalOf } from '../../src/core/wire/drop.ts';
import { Packet, SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, Inbox, type Network, type NetworkOptions } from './network.ts';

/** Where messages go. */
export const PORT = 7_000;
export const SERVICES = [
  ['best effort', SERVICE_BEST_EFFORT],
  ['reliable', SERVICE_RELIABLE],
] as const;

export function random(bytes: number, seed = bytes): Uint8Array {
  const out = new Uint8Array(bytes);
  new Rng(seed + 1).fill(out);
  return out;
}

/** What `host` does to each packet that it passes on; true: it is gone. */
export function atRouter(host: SimHost, deed: ((packet: Packet) => boolean) | null): void {
  host.node.dissemination.misbehaviour = deed === null ? null : { onTransit: deed };
}

/** A - router - B, and C on the router too. */
export class Scene {
  readonly network: Network;
  readonly a: SimHost;
  readonly router: SimHost;
  readonly b: SimHost;
  readonly c: SimHost;
  readonly sender: Inbox;
  readonly receiver: Inbox;
  readonly elsewhere: Inbox;
  /** Copies of all that the router passed on. */
  readonly seen: Uint8Array[] = [];

  /** `before`: of the four hosts, ahead of their start. */
  constructor(
    service: number,
    options: NetworkOptions = {},
    before: (a: SimHost, router: SimHost, b: SimHost, c: SimHost) => void = () => {},
  ) {
    this.network = hosts(4, options);
    [this.a, this.router, this.b, this.c] = this.network.hosts as [
      SimHost,
      SimHost,
      SimHost,
      SimHost,
    ];
    before(this.a, this.router, this.b, this.c);
    for (const host of [this.a, this.b, this.c]) this.network.connect(host, this.router);
    this.network.settle();
    this.sender = new Inbox(this.a, 0, { service });
    this.receiver = new Inbox(this.b, PORT, { service });
    this.elsewhere = new Inbox(this.c, PORT, { service });
    this.record();
  }

  record(): void {
    atRouter(this.router, (packet) => {
      this.seen.push(packet.bytes.slice(packet.start, packet.end));
      return false;
    });
  }

  say(bytes: Uint8Array): void {
    expect(this.sender.send(this.b, PORT, bytes)).toBe(DropReason.none);
    this.network.run(100 * MILLISECOND);
  }

  /** The router sends these bytes on to `to`. */
  inject(bytes: Uint8Array, to = this.b): DropReason {
    const packet = new Packet();
    expect(packet.decode(bytes, 0, bytes.length, true)).toBe(DropReason.none);
    packet.via = this.a.id;
    const reason = refusalOf(this.router.node.links.of(to.id)!.offer(packet));
    this.router.endTurn();
    this.network.run(100 * MILLISECOND);
    return reason;
  }

  /** Everything that was dropped at B, by name. */
  get drops(): Record<string, number> {
    return this.b.node.drops.snapshot();
  }
}
