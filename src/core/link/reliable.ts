/**
 * Reliable service of a link: every packet arrives at the neighbour, once, in any order.
 *
 * Selective repeat without ordering (paper section 4, Reliable Data Link), with the loss recovery
 * of RFC 9002. Its two halves know nothing of each other: reliable-sender.ts keeps what the
 * neighbour may not have, reliable-receiver.ts acknowledges what comes. When the link goes down,
 * everything not acknowledged is handed back to find another way. `@hot`
 */

import type { DropReason } from '../wire/drop.ts';
import { FRAME_ACK, FRAME_RELIABLE } from '../wire/frames.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import type { Channel } from './channel.ts';
import type { DataService, ServiceEnvironment, ServiceOutput } from './data-service.ts';
import { ReliableReceiver } from './reliable-receiver.ts';
import { ReliableSender } from './reliable-sender.ts';

export class ReliableService implements DataService {
  readonly frames = [FRAME_RELIABLE, FRAME_ACK];
  readonly #env: ServiceEnvironment;
  readonly #sender: ReliableSender;
  readonly #receiver: ReliableReceiver;

  constructor(out: ServiceOutput, env: ServiceEnvironment) {
    this.#env = env;
    this.#sender = new ReliableSender(out, env);
    this.#receiver = new ReliableReceiver(out, env);
  }

  get window(): ReliableSender {
    return this.#sender;
  }

  get queueBytes(): number {
    return this.#sender.queue.bytes;
  }

  queueBytesOf(packet: Packet): number {
    return this.#sender.queue.bytesOf(packet);
  }

  get congested(): boolean {
    return this.#sender.queue.congested;
  }

  get retransmitted(): number {
    return this.#sender.retransmitted;
  }

  get marked(): number {
    return this.#sender.queue.marked;
  }

  holds(packet: Packet): boolean {
    return this.#sender.queue.holds(packet);
  }

  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.#sender.queue.recall(packet, take);
  }

  offer(packet: Packet): boolean {
    return this.#sender.offer(packet);
  }

  onFrame(type: number, bytes: Uint8Array, start: number, end: number): DropReason {
    return type === FRAME_RELIABLE
      ? this.#receiver.onFrame(bytes, start, end)
      : this.#sender.onAckFrame(bytes, start, end);
  }

  onPiece(): void {
    this.#receiver.onPiece();
  }

  onDatagram(number: number): void {
    const now = this.#env.clock.now();
    this.#receiver.onDatagram(number, now);
    this.#sender.onHeard(now);
  }

  onHello(): void {
    this.#receiver.onHello();
  }

  onSinkWritable(): void {
    this.#sender.pump();
  }

  onUp(channel: Channel): void {
    channel.ackWriter = this.#receiver;
  }

  shed(elsewhere: (kept: KeptPacket) => boolean): void {
    this.#sender.shed(elsewhere);
  }

  onDown(): void {
    this.#receiver.onDown();
    this.#sender.onDown();
  }
}
