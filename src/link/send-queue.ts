/**
 * A bounded queue of packets in front of a link, fair between source nodes.
 *
 * Deficit round robin over one sub-queue per source (Shreedhar and Varghese, 1995): a source that sends more
 * than its share waits behind itself. Packets in transit have one bound in bytes over all sources, and those of local programs (whose
 * bytes are borrowed) a larger one of their own; each packet is charged an overhead. At the bound the packet is refused and the
 * caller says so to whoever sent it. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import { KIND_PROBED, type Packet } from '../wire/packet.ts';
import { PACKET_BYTES_MAX } from '../wire/sizes.ts';

/** Charged to every packet on top of its bytes, so that many small ones are bounded too. */
export const PACKET_OVERHEAD_BYTES = 128;
/**
 * Packets of local programs have this many times the limit for themselves: what programs had sent before they heard that they must wait is
 * not lost. Each is ahead of the daemon by SEND_AHEAD_BYTES of the client library at most, and 15 at once find room beyond the half of
 * the limit at which they hear of it. Transit traffic has nobody to tell, and stops at the limit.
 */
export const LOCAL_FACTOR = 16;
/** Probed packets have a window of their own and stop earlier. */
const PROBED_FACTOR = 4;
/** Most that one queue holds, in units of its limit. */
export const QUEUE_FACTOR = LOCAL_FACTOR + PROBED_FACTOR;
const QUANTUM = PACKET_BYTES_MAX + PACKET_OVERHEAD_BYTES;
const PACKETS_PER_SOURCE_MAX = 65_536;

class SourceQueue {
  readonly source: NodeId;
  readonly packets = new Ring<KeptPacket>(PACKETS_PER_SOURCE_MAX);
  deficit = 0;
  /** Of its packets, with their overhead. */
  bytes = 0;

  constructor(source: NodeId) {
    this.source = source;
  }
}

export class SendQueue {
  readonly limitBytes: number;
  readonly #pool: PacketPool;
  readonly #bySource = new Map<NodeId, SourceQueue>();
  /** Sources with packets, in the order of their turns. */
  #turns: SourceQueue[] = [];
  #bytes = 0;
  /** Of these, what local programs sent. */
  #localBytes = 0;
  #packets = 0;

  constructor(pool: PacketPool, limitBytes: number) {
    this.#pool = pool;
    this.limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#packets;
  }

  /** Keeps `packet`, to be marked when it leaves if `mark`; false when a bound is reached, and then nothing is kept. */
  push(packet: Packet, mark = false): boolean {
    const cost = packet.length + PACKET_OVERHEAD_BYTES;
    const local = !packet.keepable && packet.kind !== KIND_PROBED;
    const transitBytes = this.#bytes - this.#localBytes;
    const limit = local ? LOCAL_FACTOR * this.limitBytes : packet.keepable ? this.limitBytes : PROBED_FACTOR * this.limitBytes;
    if ((local ? this.#localBytes : transitBytes) + cost > limit) return false;
    const queue = this.#bySource.get(packet.source) ?? new SourceQueue(packet.source);
    if (queue.packets.length === queue.packets.limit) return false;
    // Turns are fair among what waits; who may wait must be fair too. A source beside others holds at most twice what is free.
    if (!local && this.#bySource.size > 1 && queue.bytes + cost > 2 * (this.limitBytes - transitBytes)) return false;
    const kept = this.#pool.keep(packet);
    if (kept === null) return false;
    if (mark) kept.mark = true;
    kept.local = local;
    if (local) this.#localBytes += cost;
    if (queue.packets.length === 0) {
      this.#bySource.set(packet.source, queue);
      this.#turns.push(queue);
    }
    queue.bytes += cost;
    queue.packets.push(kept);
    this.#bytes += cost;
    this.#packets += 1;
    return true;
  }

  /** Bytes of the packet that `shift` would take now, -1 when the queue is empty. */
  peekLength(): number {
    this.#advance();
    return this.#turns[0]?.packets.peek()!.length ?? -1;
  }

  /** Takes the packet whose turn it is; the caller releases it. Undefined when the queue is empty. */
  shift(): KeptPacket | undefined {
    this.#advance();
    const queue = this.#turns[0];
    if (queue === undefined) return undefined;
    const head = queue.packets.shift()!;
    const cost = head.length + PACKET_OVERHEAD_BYTES;
    queue.deficit -= cost;
    queue.bytes -= cost;
    this.#bytes -= cost;
    if (head.local) this.#localBytes -= cost;
    this.#packets -= 1;
    if (queue.packets.length === 0) {
      this.#turns.shift();
      this.#bySource.delete(queue.source);
    }
    return head;
  }

  /** Gives turns until the source at the front has the deficit for its head. */
  #advance(): void {
    for (;;) {
      const queue = this.#turns[0];
      if (queue === undefined) return;
      if (queue.deficit >= queue.packets.peek()!.length + PACKET_OVERHEAD_BYTES) return;
      queue.deficit += QUANTUM;
      if (this.#turns.length > 1) this.#turns.push(this.#turns.shift()!);
    }
  }

  /** Releases everything. Returns how many packets were in it. */
  clear(): number {
    const count = this.#packets;
    for (let kept = this.shift(); kept !== undefined; kept = this.shift()) this.#pool.release(kept);
    return count;
  }
}
