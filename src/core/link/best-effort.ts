/**
 * Best-effort service: a packet is sent once, at once, and never again (paper section 4, Unreliable
 * Data Link).
 *
 * Only when the datagram sink pushes back do packets wait, in a bounded fair queue. `@hot`
 */

import type { DatagramSink } from '../base/datagram.ts';
import type { DropReason } from '../wire/drop.ts';
import { FRAME_DATA } from '../wire/frames.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { Channel } from './channel.ts';
import type { DataService, ServiceEnvironment, ServiceOutput } from './data-service.ts';
import { SendQueue } from './send-queue.ts';

/** Of a channel it needs no more than to write packets. */
export type BestEffortOutput = Omit<ServiceOutput, 'channel'> & {
  readonly channel: Pick<Channel, 'frameOf'> | null;
};

export class BestEffortService implements DataService {
  readonly frames = [FRAME_DATA];
  readonly retransmitted = 0;
  readonly #out: BestEffortOutput;
  readonly #sink: DatagramSink;
  readonly #pool: PacketPool;
  readonly #queue: SendQueue;

  constructor(
    out: BestEffortOutput,
    {
      sink,
      pool,
      linkQueueBytes,
      draws,
    }: Pick<ServiceEnvironment, 'sink' | 'pool' | 'linkQueueBytes' | 'draws'>,
  ) {
    this.#out = out;
    this.#sink = sink;
    this.#pool = pool;
    this.#queue = new SendQueue(pool, linkQueueBytes, () => out.onPushedOut?.(), draws.u32());
  }

  get queueBytes(): number {
    return this.#queue.bytes;
  }

  queueBytesOf(packet: Packet): number {
    return this.#queue.bytesOf(packet);
  }

  get marked(): number {
    return this.#queue.marked;
  }

  get congested(): boolean {
    return this.#queue.congested;
  }

  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.#queue.recall(packet, take);
  }

  holds(packet: Packet): boolean {
    return this.#queue.holds(packet);
  }

  offer(packet: Packet): boolean {
    const channel = this.#out.channel;
    if (channel === null) return false;
    if (this.#queue.length === 0 && !this.#sink.congested) {
      channel.frameOf(FRAME_DATA, 0, packet.bytes, packet.start, packet.end);
      this.#out.onSent();
      return true;
    }
    return this.#queue.push(packet);
  }

  onFrame(_type: number, bytes: Uint8Array, start: number, end: number): DropReason {
    return this.#out.onPacket(bytes, start, end);
  }

  onSinkWritable(): void {
    const channel = this.#out.channel;
    while (channel !== null && !this.#sink.congested) {
      const kept = this.#queue.shift();
      if (kept === undefined) break;
      channel.frameOf(FRAME_DATA, 0, kept.bytes, kept.start, kept.end);
      this.#pool.release(kept);
      this.#out.onSent();
    }
    if (this.#queue.takeRoom()) this.#out.onWritable();
  }

  onDown(): void {
    this.#queue.clear();
    if (this.#queue.takeRoom()) this.#out.onWritable();
  }
}
