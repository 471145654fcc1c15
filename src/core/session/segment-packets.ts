/**
 * Segments of streams as packets, and the resets that answer what belongs to no stream.
 *
 * Owns the packet that is filled, and the bounds on answers that strangers provoke. Which segment
 * leaves is a stream's business (`segment-output.ts`).
 */

import type { NodeId, Port } from '../base/ids.ts';
import { SharedBudget, type SharedBudgetLimits } from '../base/shared-budget.ts';
import type { Clock } from '../base/time.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import { DropReason, type DropCounters, refusalOf } from '../wire/drop.ts';
import { KIND_STREAM, Packet } from '../wire/packet.ts';
import { RESET_UNSAID, Segment, SEGMENT_RST } from '../wire/segment.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, SEAL_ROOM_BYTES } from '../wire/sizes.ts';
import { originName } from './origin.ts';
import type { StreamOptions } from './stream-settings.ts';

/**
 * Answers that strangers provoke: so many a second for whoever is first, and some more for origins
 * that cause few.
 */
const RESETS_CLAIMED: SharedBudgetLimits = {
  perSecond: 500,
  burst: 500,
  keptPerSecond: 100,
  keptBurst: 100,
  sharePerSecond: 10,
  shareBurst: 20,
  sources: 1_024,
};
/**
 * A proved origin gets its own answers only. After a restart of this daemon each of its streams
 * asks, some twice: a daemon's streams at once.
 */
const RESETS_PROVED: SharedBudgetLimits = { ...RESETS_CLAIMED, perSecond: 2_000, burst: 4_000 };

export interface SegmentPacketsEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly drops: DropCounters;
  readonly dissemination: Dissemination;
}

export class SegmentPackets {
  readonly #env: SegmentPacketsEnvironment;
  readonly #strangers: object;
  readonly #packet = new Packet();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  /** Answers to sources that are proved, and to those that anybody may name. */
  readonly #resets = {
    proved: new SharedBudget(RESETS_PROVED),
    claimed: new SharedBudget(RESETS_CLAIMED),
  };

  /** `strangers`: the user, in queues, of answers to whoever has no stream. */
  constructor(env: SegmentPacketsEnvironment, strangers: object) {
    this.#env = env;
    this.#strangers = strangers;
  }

  /**
   * Sends `head` with `dataBytes` written by `fill` (or none) for `user`; linkQueueFull: its stream
   * still has it. What else refused it is counted.
   */
  send(
    node: NodeId,
    localPort: Port,
    port: Port,
    options: StreamOptions,
    user: object,
    head: Segment,
    dataBytes: number,
    fill: ((out: Uint8Array, at: number) => void) | null,
  ): DropReason {
    const packet = this.#packet,
      secret = options.secrecy === 'end-to-end';
    const start = secret ? SEAL_ROOM_BYTES : 0;
    const at = head.encode(this.#scratch, start + OVERLAY_HEADER_BYTES);
    if (fill !== null) fill(this.#scratch, at);
    packet.compose(
      this.#scratch,
      start,
      at + dataBytes,
      KIND_STREAM,
      options,
      this.#env.self,
      localPort,
      node,
      port,
    );
    packet.user = user;
    packet.secret = secret;
    const reason = refusalOf(this.#env.dissemination.originate(packet));
    // What a full queue refuses its stream still has.
    if (reason !== DropReason.none && reason !== DropReason.linkQueueFull)
      this.#env.drops.count(reason);
    return reason;
  }

  /**
   * Answers a segment that belongs to nothing here with a reset for the stream `id`: the far end's,
   * or ours of an earlier run.
   */
  refuse(packet: Packet, id: number, why = RESET_UNSAID): void {
    if (id === 0 || !this.mayReset(packet)) return;
    const segment = new Segment();
    segment.flags = SEGMENT_RST;
    segment.stream = id;
    segment.why = why;
    this.send(
      packet.source,
      packet.destinationPort,
      packet.sourcePort,
      answering(packet),
      this.#strangers,
      segment,
      0,
      null,
    );
  }

  /** Whether whoever sent `packet` may cause another answer. */
  mayReset(packet: Packet): boolean {
    return (packet.authenticated ? this.#resets.proved : this.#resets.claimed).take(
      originName(packet),
      this.#env.clock.now(),
    );
  }
}

/** As `packet` came, so goes what answers it. */
export function answering({ service, dissemination, priority, sealed }: Packet): StreamOptions {
  return { service, dissemination, ttl: 64, priority, secrecy: sealed ? 'end-to-end' : 'links' };
}
