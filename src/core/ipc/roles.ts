/**
 * What a client may do: look, use sockets, or change the daemon.
 *
 * Owns which requests about sockets need which role; those about the daemon have theirs in
 * core/operator/operations.ts. How a client comes by its role is the doors' business: the
 * socket that it opened, the token that it showed, or the name and groups in its certificate.
 */

/** Each may do what those before it may. */
export const CLIENT_ROLES = ['read-only', 'use', 'full'] as const;
export type ClientRole = (typeof CLIENT_ROLES)[number];

/** The least role that may make each request about a client's own sockets, or resolve a name. */
const SOCKET_REQUESTS: ReadonlyMap<string, ClientRole> = new Map([
  ['resolve', 'read-only'],
  ['socket', 'use'],
  ['bind', 'use'],
  ['connect', 'use'],
  ['listen', 'use'],
  ['close', 'use'],
  ['setOption', 'use'],
  ['getOption', 'use'],
]);

/** Undefined for what is no such request. */
export function roleOfSocketRequest(op: string): ClientRole | undefined {
  return SOCKET_REQUESTS.get(op);
}

export function includes(role: ClientRole, needed: ClientRole): boolean {
  return CLIENT_ROLES.indexOf(role) >= CLIENT_ROLES.indexOf(needed);
}
