/** What the configuration says of a neighbour to dial. */

import type { NodeId } from '../base/ids.ts';
import type { CongestionName } from '../recovery/controller.ts';

/** A neighbour to dial. */
export interface DialConfig {
  /** Numeric address and port, 1..65535. */
  readonly address: string;
  readonly port: number;
  /** The node that must answer there, or null for any. */
  readonly node: NodeId | null;
  /** The peer's X25519 key, 32 bytes, where it is known beforehand. */
  readonly key?: Uint8Array;
  /** The node's name, where it is known beforehand: for people. */
  readonly name?: string;
  /**
   * Congestion control of this link; default: the daemon's. Each side's choice governs what it
   * sends.
   */
  readonly congestion?: CongestionName;
  /** An operator had it dialled while the daemon ran; its files may not have it. */
  readonly added?: boolean;
}
