/**
 * Where somebody may look at what links send and get: the frames of datagrams, opened.
 *
 * Owns nothing but the place. While nobody looks it costs each datagram one test; who looks (the
 * captures of core/operator/capture.ts) copies what it keeps, as the bytes are not its own.
 */

import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import type { DropReason } from '../wire/drop.ts';

/** A channel as who looks sees it. */
export interface TappedChannel {
  /** The neighbour. */
  readonly node: NodeId;
  /** Wire version of its link. */
  readonly version: number;
  readonly endpoint: Endpoint;
}

/** All bytes are valid during the call only. */
export interface Tap {
  /** `bytes[0..end)` came on `channel`: header and frames, which are used after this call. */
  onOpened(channel: TappedChannel, bytes: Uint8Array, end: number, from: Endpoint): void;
  /** What came last was used. `reason`: why as a whole it was not. */
  onUsed(reason: DropReason): void;
  /** `bytes[0..end)` leaves on `channel`: header and frames, not sealed yet. */
  onSent(channel: TappedChannel, bytes: Uint8Array, end: number): void;
  /** A handshake, or what belongs to one. */
  onCall(bytes: Uint8Array, length: number, from: Endpoint): void;
  onCallSent(to: Endpoint, bytes: Uint8Array, length: number): void;
  /** What came is dropped as a whole; it was shown before if it is a handshake or was opened. */
  onRefused(bytes: Uint8Array, length: number, from: Endpoint, reason: DropReason): void;
}

export class Taps {
  /** Null: nobody looks. */
  tap: Tap | null = null;
}

/** `sink` for handshakes, which whoever looks is shown. */
export function tappedCalls(sink: DatagramSink, taps: Taps): DatagramSink {
  return {
    send(to, bytes, length): void {
      taps.tap?.onCallSent(to, bytes, length);
      sink.send(to, bytes, length);
    },
    get congested() {
      return sink.congested;
    },
  };
}
