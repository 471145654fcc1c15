/**
 * Against whom a session is protected: the routers on the way too, or outsiders only.
 *
 * Owns the names and the rule of the receiver: who wants it end to end takes nothing else, whatever
 * the sender did.
 */

import type { Packet } from '../wire/packet.ts';

/**
 * 'end-to-end': sealed from the source's daemon to the destination's. 'links': on each link, so
 * that routers can read it.
 */
export type Secrecy = 'end-to-end' | 'links';

export const SECRECIES: readonly Secrecy[] = ['end-to-end', 'links'];

/**
 * Whether a socket that wants `secret` may have what came like this. What did not leave this
 * daemon, or came by byzantine routing, is proved too.
 */
export function admits(secret: boolean, packet: Pick<Packet, 'authenticated'>): boolean {
  return !secret || packet.authenticated;
}
