/** Programs that count what they hear of their losses, and notices that anybody may write. */

import type { NodeId } from '../../src/core/base/ids.ts';
import type { DatagramSession } from '../../src/core/session/sessions.ts';
import type { DropReason } from '../../src/core/wire/drop.ts';
import { encodeNotice, NOTICE_BYTES, NOTICE_PORT_CLOSED } from '../../src/core/wire/notice.ts';
import { KIND_NOTICE, Packet, SERVICE_RELIABLE, TTL_DEFAULT } from '../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, Inbox, type Network } from './network.ts';

/** A program that counts what it hears of its losses. */
export class Program extends Inbox {
  /** Messages lost, by reason. */
  readonly lost = new Map<DropReason, number>();

  /** Messages lost. */
  get told(): number {
    return [...this.lost.values()].reduce((sum, count) => sum + count, 0);
  }

  onLost(_session: DatagramSession, _to: NodeId, reason: DropReason, count: number): void {
    this.lost.set(reason, (this.lost.get(reason) ?? 0) + count);
  }
}

/** a - router - b, and c beside the router. */
export function star(): {
  network: Network;
  a: SimHost;
  router: SimHost;
  b: SimHost;
  c: SimHost;
} {
  const network = hosts(4);
  const [a, router, b, c] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
  for (const host of [a, b, c]) network.connect(host, router);
  network.settle();
  return { network, a, router, b, c };
}

/**
 * `from` sends in the name of `source` that `dropped` messages of `program`, a socket of `to` at
 * port 5, found nobody at `port` of `destination`.
 */
export function sayClosed(
  from: SimHost,
  source: NodeId,
  program: Inbox,
  to: SimHost,
  destination: NodeId,
  port: number,
  dropped: number,
  secret: boolean,
): void {
  const bytes = new Uint8Array(OVERLAY_HEADER_BYTES + NOTICE_BYTES),
    packet = new Packet();
  encodeNotice(
    {
      reason: NOTICE_PORT_CLOSED,
      dropped,
      destination,
      sourcePort: 5,
      destinationPort: port,
      rate: 0,
      quoteHigh: program.session.run,
      quoteLow: program.session.nextMessage - 1,
    },
    bytes,
    OVERLAY_HEADER_BYTES,
  );
  const modes = { service: SERVICE_RELIABLE, dissemination: 0, ttl: TTL_DEFAULT, priority: 1 };
  packet.compose(bytes, 0, bytes.length, KIND_NOTICE, modes, source, 0, to.id, 0);
  packet.secret = secret;
  from.node.dissemination.originate(packet);
  from.endTurn();
}
