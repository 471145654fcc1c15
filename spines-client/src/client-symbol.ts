/**
 * Where sockets and servers keep their client: not under a name, because names on sockets belong to
 * the programs and libraries that use them.
 */

import type { SpinesClient } from './client.ts';

export const clientSymbol: unique symbol = Symbol('spines client');

/**
 * The client of a socket or server: the shared one, or its own; null: a server that has none now.
 */
export function clientOf<T extends SpinesClient | null>(of: { readonly [clientSymbol]: T }): T {
  return of[clientSymbol];
}
