/**
 * What the system can say of a UDP address that does not answer: asked of the host, which has
 * sockets.
 *
 * An unconnected UDP socket hides what the network answers; a connected one shows it. The core asks
 * rarely, one address at a time, and only for a dial that nobody answers.
 */

import type { Endpoint } from './datagram.ts';

/**
 * portClosed: the machine there answers that nothing listens. unreachable: no route, or a machine
 * between says so. forbidden: this machine's rules do not let datagrams out. noSocket: the daemon
 * listens on no address of that family. nothing: silence.
 */
export type ProbeResult = 'portClosed' | 'unreachable' | 'forbidden' | 'noSocket' | 'nothing';

/** Calls `done` once, later. Sends one datagram at most. */
export type AddressProbe = (to: Endpoint, done: (result: ProbeResult) => void) => void;
