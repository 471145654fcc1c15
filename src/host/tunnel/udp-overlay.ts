/**
 * What the ends of a UDP tunnel need of whoever hosts them: overlay sockets, sockets of the
 * machine, and a log. Types, and how much one packet carries; the command line makes them of the
 * client library (cli/tunnel/client-overlay.ts) and node:dgram (udp-host.ts).
 */

import { SERVICE_RELIABLE } from '../../core/wire/modes.ts';
import { SEALED_PAYLOAD_BYTES_MAX } from '../../core/wire/sealed-packet.ts';
import { SEQUENCED_HEAD_BYTES } from '../../core/wire/sequenced.ts';
import { PAYLOAD_BYTES_MAX } from '../../core/wire/sizes.ts';
import type { FlowMode } from './udp-message.ts';

export interface OverlaySocket {
  /**
   * Sends the parts as one datagram to a node, in dotted quads. False: it is not sent, because the
   * daemon is away or takes no more just now.
   */
  send(parts: readonly Uint8Array[], node: string, port: number): boolean;
  /** Nothing is called any more. */
  close(): void;
}

export interface OverlayEvents {
  /** `message` is the callee's. `proved`: the node is who it says. */
  onMessage(message: Buffer, node: string, port: number, proved: boolean): void;
  /** So many that were sent, or would have been received, are lost here or on the way. */
  onLost(count: number, why: string): void;
  /** Nothing comes and goes by it any more; still to be closed. */
  onBroken(why: string): void;
}

export interface Overlay {
  /**
   * A datagram socket at any free port. `sealed`: from end to end, or for routers to read; null: as
   * the tunnel's secrecy has it.
   */
  open(mode: FlowMode, sealed: boolean | null, events: OverlayEvents): OverlaySocket;
}

export interface HostSocket {
  /** Of a connected socket, `address` and `port` are those that it is connected to. */
  send(payload: Uint8Array, address: string, port: number): void;
  close(): void;
}

export interface HostEvents {
  onMessage(payload: Buffer, address: string, port: number): void;
  /** A datagram could not be sent, or nobody listens there: the system's code. */
  onError(code: string): void;
}

export interface HostNetwork {
  /**
   * A UDP socket of this machine. `to`: it sends there only, and the system tells when nobody
   * listens; null: anywhere in the family.
   */
  open(
    family: 4 | 6,
    to: { readonly address: string; readonly port: number } | null,
    events: HostEvents,
  ): HostSocket;
  /** The numeric address of a host; else the system's code of why not. Calls back once, later. */
  resolve(host: string, done: (address: string | null, code: string) => void): void;
}

export interface TunnelLog {
  info(fields: object, message: string): void;
  /** Something was not carried, and why; whoever writes it writes one of many. */
  refused(fields: object): void;
}

/** Bytes of a message that travels in one packet. `sealed`: from end to end. */
export function packetBytesOf({ link }: FlowMode, sealed: boolean): number {
  if (sealed) return SEALED_PAYLOAD_BYTES_MAX;
  return PAYLOAD_BYTES_MAX - (link === SERVICE_RELIABLE ? SEQUENCED_HEAD_BYTES : 0);
}
