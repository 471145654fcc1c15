/**
 * What a client may do: look, use sockets, or change the daemon.
 *
 * Which request needs which role stands beside each request (client-requests.ts, and
 * core/operator/operations.ts). How a client comes by its role is the doors' business: the
 * socket that it opened, the token that it showed, or the name and groups in its certificate.
 */

/** Each may do what those before it may. */
export const CLIENT_ROLES = ['read-only', 'use', 'full'] as const;
export type ClientRole = (typeof CLIENT_ROLES)[number];

export function includes(role: ClientRole, needed: ClientRole): boolean {
  return CLIENT_ROLES.indexOf(role) >= CLIENT_ROLES.indexOf(needed);
}
