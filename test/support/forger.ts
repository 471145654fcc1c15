/**
 * An insider that sends link-state packets in the name of others: what a router with a certificate
 * can write into a header.
 */

import { putU32 } from '../../src/core/base/bytes.ts';
import type { NodeId, Port } from '../../src/core/base/ids.ts';
import { SEGMENT_SYN, Segment, SYN_BYTES } from '../../src/core/wire/segment.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  DISSEMINATION_LINK_STATE,
  KIND_STREAM,
  Packet,
  TTL_DEFAULT,
} from '../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';

/** Whom a forged packet names, and where it goes. */
export interface Claim {
  readonly source: NodeId;
  readonly sourcePort: Port;
  readonly destination: NodeId;
  readonly destinationPort: Port;
  readonly service: number;
  /** Default: link state. */
  readonly dissemination?: number;
}

/**
 * `insider` sends a packet of `kind` with `payload` that says what `claim` says; by its own route
 * to the destination.
 */
export function forge(insider: SimHost, claim: Claim, kind: number, payload: Uint8Array): void {
  const bytes = new Uint8Array(OVERLAY_HEADER_BYTES + payload.length),
    packet = new Packet();
  bytes.set(payload, OVERLAY_HEADER_BYTES);
  const modes = {
    service: claim.service,
    dissemination: claim.dissemination ?? DISSEMINATION_LINK_STATE,
    ttl: TTL_DEFAULT,
    priority: 1,
  };
  packet.compose(
    bytes,
    0,
    bytes.length,
    kind,
    modes,
    claim.source,
    claim.sourcePort,
    claim.destination,
    claim.destinationPort,
  );
  insider.node.router.nextHop(claim.destination)!.offer(packet);
  insider.endTurn();
}

/** A segment of a stream, with `data` behind its head. */
export function forgeSegment(
  insider: SimHost,
  claim: Claim,
  flags: number,
  stream: number,
  sequence: number,
  data: Uint8Array,
): void {
  const segment = new Segment();
  segment.flags = flags;
  segment.stream = stream;
  segment.sequence = sequence;
  segment.window = 65_536;
  const bytes = new Uint8Array(64 + data.length);
  const at = segment.encode(bytes, 0);
  bytes.set(data, at);
  forge(insider, claim, KIND_STREAM, bytes.subarray(0, at + data.length));
}

/** A SYN; `id`: the one that its stream is to have over there. */
export function forgeSyn(insider: SimHost, claim: Claim, id: number): void {
  const data = new Uint8Array(SYN_BYTES);
  putU32(data, 0, id);
  forgeSegment(insider, claim, SEGMENT_SYN, 0, 0, data);
}
