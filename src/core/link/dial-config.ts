/** What the configuration says of a neighbour to dial. */

import type { NodeId } from '../base/ids.ts';
import type { CongestionName } from '../recovery/controller.ts';

/** A neighbour to dial. */
export interface DialConfig {
  /** Numeric, UNRESOLVED while `host` is not looked up; and port, 1..65535. */
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
  /** As a host name was written in place of the address: the host looks it up. */
  readonly host?: string;
  /** Why that failed the last time. */
  readonly lookupFault?: string;
}

/** In place of an address that is not known yet: nothing is sent there. */
export const UNRESOLVED = '0.0.0.0';

export function isUnresolved({ address, host }: Pick<DialConfig, 'address' | 'host'>): boolean {
  return host !== undefined && address === UNRESOLVED;
}

/** Labels of a host name: RFC 1123, section 2.1; not all digits, which would be an address. */
const LABEL = '(?!-)[A-Za-z0-9_-]{1,63}(?<!-)';
const HOST_NAME = new RegExp(`^(?=.{1,253}$)(?:${LABEL}\\.)*(?![0-9]+$)${LABEL}$`);

/** Whether it can be looked up. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text);
}
