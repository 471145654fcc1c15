/**
 * Where sockets and servers keep their client: not under a name, because names on sockets belong to
 * the programs and libraries that use them.
 */

export const clientSymbol: unique symbol = Symbol('spines client');
