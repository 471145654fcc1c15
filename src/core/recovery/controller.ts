/**
 * What a congestion controller is, for links and for end-to-end streams. Plain arithmetic on bytes
 * and microseconds; knows no packets and no timers. It is told what happened and answers with a
 * window, and with a rate if it knows one.
 */

import type { Micros } from '../base/time.ts';

export type CongestionName = 'newreno' | 'cubic' | 'bbr';
export const CONGESTION_NAMES: readonly CongestionName[] = ['newreno', 'cubic', 'bbr'];

export interface CongestionController {
  /** Bytes that may be unacknowledged. */
  readonly window: number;
  readonly inSlowStart: boolean;
  /** Bytes per microsecond at which they leave; 0 = the window, spread over its round trip. */
  readonly pacingRate: number;
  /** `bytes` leave now; `inFlight`: unacknowledged bytes with them. */
  onSent(bytes: number, inFlight: number, now: Micros): void;
  /** The program has nothing more to send now. */
  onApplicationLimited(inFlight: number): void;
  /**
   * `bytes` sent at `sentAt` were acknowledged. `limited`: the window was what kept the sender from
   * sending more; without that it does not grow.
   */
  onAck(bytes: number, sentAt: Micros, now: Micros, rttUs: Micros, limited: boolean): void;
  /**
   * All that one acknowledgement says was told, losses included; `rttUs`: the round trip that it
   * shows, 0 = none.
   */
  onAckEnd(now: Micros, inFlight: number, rttUs: Micros): void;
  /**
   * `bytes` sent at `sentAt` were lost. Once a round trip this narrows the window, or what else the
   * controller has: then it returns true. `waiting`: bytes that wait for the window.
   */
  onLoss(bytes: number, sentAt: Micros, now: Micros, waiting: number): boolean;
  /** Something sent at `sentAt` was marked by a congested queue; otherwise as a loss. */
  onMark(sentAt: Micros, now: Micros, waiting: number): boolean;
  /**
   * What the window was narrowed for last did not happen: it is as wide again as it was (RFC 4015).
   */
  undo(): void;
  /**
   * Nothing was acknowledged for several timeouts in a row; `waiting`: bytes that wait for the
   * window.
   */
  onPersistentLoss(waiting: number): void;
  /** Typical bytes of a datagram, for growth by segments. */
  onSegmentSize(bytes: number): void;
}
