/**
 * Which user is at the other end of a Unix socket: SO_PEERCRED (unix(7)), which Node has no means
 * to ask, through the optional package koffi.
 *
 * The system noted it when the program connected, so a program that changes its user, or passes the
 * connection on, is known by the user who opened it. Only for records: who may come is what the
 * file's mode says.
 */

import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

/** Where koffi is, on Linux; elsewhere nobody can tell. */
type PeerUser = (socket: Socket) => number | 'unknown';

const SOL_SOCKET = 1,
  SO_PEERCRED = 17;
/** struct ucred: pid, uid and gid, 32 bits each. */
const UCRED_BYTES = 12,
  UID = 4;
/** What the system says where there is no user. */
const NOBODY = 0xffff_ffff;

/** What is used of koffi. */
interface Koffi {
  load(path: null): { func(prototype: string): (...args: readonly unknown[]) => number };
}

let found: PeerUser | null = null;

/**
 * The id of the user at the other end of `socket`, a connected Unix socket; 'unknown' if unsaid.
 */
export function peerUser(socket: Socket): number | 'unknown' {
  return (found ??= findPeerUser())(socket);
}

function findPeerUser(): PeerUser {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch))
    return () => 'unknown';
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const getsockopt = koffi
      .load(null)
      .func('int getsockopt(int, int, int, _Inout_ uint8_t *, _Inout_ uint32_t *)');
    return (socket) => {
      const fd = descriptorOf(socket);
      const said = new Uint8Array(UCRED_BYTES),
        length = Uint32Array.of(UCRED_BYTES);
      if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, said, length) !== 0) return 'unknown';
      const user = new DataView(said.buffer).getUint32(UID, true);
      return length[0] === UCRED_BYTES && user !== NOBODY ? user : 'unknown';
    };
  } catch {
    return () => 'unknown';
  }
}

/** Node names it on the handle that it does not show; -1: not, or no more. */
function descriptorOf(socket: Socket): number {
  const handle = (socket as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  return typeof handle?.fd === 'number' ? handle.fd : -1;
}
