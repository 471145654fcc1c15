/**
 * What a client may do: look, use sockets, or change the daemon.
 *
 * Owns which operation needs which role. How a client comes by its role is the doors' business: the
 * socket that it opened, the token that it showed, or the name and groups in its certificate.
 */

/** Each may do what those before it may. */
export const CLIENT_ROLES = ['read-only', 'use', 'full'] as const;
export type ClientRole = (typeof CLIENT_ROLES)[number];

/** Requests about the daemon that change nothing. */
const LOOKS: ReadonlySet<string> = new Set([
  'status',
  'links',
  'routes',
  'byzantineRoutes',
  'nodes',
  'sessions',
  'firewall',
  'mayReach',
  'ping',
  'trace',
  'byzantineTrace',
  'resolve',
]);
/** About a client's own sockets: without one, there is nothing to do to it. */
const USES: ReadonlySet<string> = new Set([
  'socket',
  'bind',
  'connect',
  'listen',
  'close',
  'setOption',
  'getOption',
]);

/**
 * The least role that may ask for `op`; what nobody knows is for nobody but those who may do all.
 */
export function roleFor(op: string): ClientRole {
  return LOOKS.has(op) ? 'read-only' : USES.has(op) ? 'use' : 'full';
}

export function includes(role: ClientRole, needed: ClientRole): boolean {
  return CLIENT_ROLES.indexOf(role) >= CLIENT_ROLES.indexOf(needed);
}
