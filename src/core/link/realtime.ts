/**
 * Realtime service of a link: packets that are worth something up to a deadline, and are mended as
 * long as they can be in time.
 *
 * A packet leaves at once, with its age. What is missing at the neighbour is asked for and sent
 * again, hop by hop, within the time that it has left (after the soft realtime links of Spines, and
 * of Amir, Danilov, Goose, Hedqvist and Terzis, "An Overlay Architecture for High Quality VoIP
 * Streams", IEEE ToM 2006); where no round trip fits, parities and copies help as far as they can.
 * Never in order, never a wait. Its two halves know nothing of each other: realtime-sender.ts and
 * realtime-receiver.ts. `@hot`
 */

import type { DropReason } from '../wire/drop.ts';
import {
  FRAME_REALTIME,
  FRAME_REALTIME_AGAIN,
  FRAME_REPAIR,
  FRAME_REQUEST,
} from '../wire/frames.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import { WIRE_VERSION_REALTIME } from '../wire/versions.ts';
import type { DataService, ServiceEnvironment, ServiceOutput } from './data-service.ts';
import { RealtimeReceiver } from './realtime-receiver.ts';
import { RealtimeSender } from './realtime-sender.ts';

export class RealtimeService implements DataService {
  readonly frames = [FRAME_REALTIME, FRAME_REALTIME_AGAIN, FRAME_REQUEST, FRAME_REPAIR];
  readonly since = WIRE_VERSION_REALTIME;
  readonly marked = 0;
  readonly sender: RealtimeSender;
  readonly receiver: RealtimeReceiver;

  constructor(out: ServiceOutput, env: ServiceEnvironment) {
    this.sender = new RealtimeSender(out, env);
    this.receiver = new RealtimeReceiver(out, env);
  }

  get queueBytes(): number {
    return this.sender.queue.bytes;
  }

  queueBytesOf(packet: Packet): number {
    return this.sender.queue.bytesOf(packet);
  }

  get congested(): boolean {
    return this.sender.queue.congested;
  }

  get retransmitted(): number {
    return this.sender.counts.answered;
  }

  holds(packet: Packet): boolean {
    return this.sender.queue.holds(packet);
  }

  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.sender.queue.recall(packet, take);
  }

  offer(packet: Packet): boolean {
    return this.sender.offer(packet);
  }

  onFrame(type: number, bytes: Uint8Array, start: number, end: number): DropReason {
    switch (type) {
      case FRAME_REALTIME:
        return this.receiver.onFrame(bytes, start, end);
      case FRAME_REALTIME_AGAIN:
        return this.receiver.onAgain(bytes, start, end);
      case FRAME_REPAIR:
        return this.receiver.onRepair(bytes, start, end);
      default:
        return this.sender.onRequest(bytes, start, end);
    }
  }

  onDatagram(number: number): void {
    this.receiver.onDatagram(number);
  }

  onWhole(index: number, count: number): void {
    this.receiver.onWhole(index, count);
  }

  onSinkWritable(): void {
    this.sender.pump();
  }

  onUp(): void {
    this.sender.onUp();
    this.receiver.onChannel();
  }

  onDown(): void {
    this.sender.onDown();
    this.receiver.onChannel();
  }
}
