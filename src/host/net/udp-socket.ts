/**
 * One bound UDP socket: made by Node, or by the C library where there is offload (offload.ts) and
 * then given to Node. What is sent and received over it is udp.ts's.
 *
 * Node sends an unconnected datagram at once only if no name look-up is in the way, so look-ups are
 * replaced by identity (addresses are numeric).
 */

import { createSocket, type BindOptions, type Socket, type SocketOptions } from 'node:dgram';
import { isIP } from 'node:net';
import { makeEndpoint } from '../../core/base/datagram.ts';
import { SpinesError } from '../../core/base/errors.ts';
import type { IndexMark } from '../../core/base/index-mark.ts';
import { isWildcard } from './local-addresses.ts';
import type { Offload, OffloadSocket } from './offload.ts';

export interface UdpAddress {
  /** Numeric IPv4 or IPv6 address. */
  readonly address: string;
  /** 0 = any free port. */
  readonly port: number;
}

/** `offload` is null on a plain socket. */
export interface Bound {
  readonly socket: Socket;
  readonly offload: OffloadSocket | null;
  /**
   * A socket of their own for what strangers send to the same address; null where the system has no
   * such thing. Nothing leaves by it.
   */
  readonly strangers: Socket | null;
  /** Key of its address; null for a wildcard. */
  readonly local: string | null;
  /** The wildcard that it belongs to, null for one of the configuration. */
  readonly beside: Bound | null;
  /** Datagrams of one call may be many. */
  readonly batches: boolean;
  /** Sends longer than this are cut by the kernel; 0 = none is. */
  segment: number;
}

/** Asked of the system; what it grants may be less (Linux: net.core.rmem_max). */
export const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/**
 * Of what strangers send: what 20,000 calls a second bring while the daemon does not run for a
 * twentieth of a second. More would wait for longer than calls are repeated.
 */
const STRANGERS_BUFFER_BYTES = 1024 * 1024;
const SEND_BUFFER_BYTES = 1024 * 1024;

/**
 * Throws SpinesError with the system's code (EADDRINUSE, EADDRNOTAVAIL, EACCES ...); nothing is
 * open then.
 */
export async function bindSocket(
  { address, port }: UdpAddress,
  by: Offload | null,
  beside: Bound | null = null,
  mark: IndexMark | null = null,
): Promise<Bound> {
  const failed = (code: string | undefined): SpinesError =>
    new SpinesError(
      code ?? 'EIO',
      `can't listen on UDP ${makeEndpoint(address, port).key}: ${explain(code)}`,
    );
  let offload: OffloadSocket | null;
  try {
    // For the length of this call only: nobody else shall share the port.
    beside?.offload?.share(true);
    offload = by?.open(address, port, beside !== null) ?? null;
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    throw failed(error.code);
  } finally {
    beside?.offload?.share(false);
  }
  const v6 = isIP(address) === 6;
  const make = (): Socket =>
    createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6, lookup: lookUpNothing(v6) });
  const socket = make();
  let strangers: Socket | null = null;
  const bind = (one: Socket, how: BindOptions): Promise<void> =>
    new Promise((resolve, reject) => {
      one.once('error', (error: NodeJS.ErrnoException) => reject(failed(error.code)));
      one.bind(how, () => resolve());
    });
  try {
    await bind(socket, offload === null ? { address, port, exclusive: true } : { fd: offload.fd });
    const apart = mark === null ? null : (offload?.divide?.(mark, socket.address().port) ?? null);
    if (apart !== null) await bind((strangers = make()), { fd: apart });
  } catch (error) {
    socket.close();
    strangers?.close();
    throw error;
  }
  socket.removeAllListeners('error');
  strangers?.removeAllListeners('error');
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    socket.setSendBufferSize(SEND_BUFFER_BYTES);
    strangers?.setRecvBufferSize(STRANGERS_BUFFER_BYTES);
  } catch {
    // Refused sizes show in UdpSink.receiveBufferBytes.
  }
  const local = isWildcard(address) ? null : makeEndpoint(address, socket.address().port).key;
  return { socket, offload, strangers, local, beside, batches: by?.batches === true, segment: 0 };
}

/** In place of a name look-up. */
export function lookUpNothing(v6: boolean): NonNullable<SocketOptions['lookup']> {
  return (host, _options, done) => done(null, host, v6 ? 6 : 4);
}

function explain(code: string | undefined): string {
  if (code === 'EADDRINUSE')
    return 'the port is in use; stop what uses it, or choose another with --listen';
  if (code === 'EADDRNOTAVAIL')
    return 'this machine has no such address; `ip address` lists those it has';
  if (code === 'EACCES') return 'ports below 1024 need privileges; choose another with --listen';
  return code ?? 'unknown error';
}
