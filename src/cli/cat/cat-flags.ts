/** The flags of `spines cat`, as its streams and its datagrams read them. */

import type { LinkServiceName, RoutingName, SecrecyName } from 'spines-client';

import type { ClientFlags } from '../client.ts';

export interface CatFlags extends ClientFlags {
  listen?: number;
  datagram?: boolean;
  link?: LinkServiceName;
  routing?: RoutingName;
  secrecy?: SecrecyName;
  size?: number;
  rate?: number;
  reply?: boolean;
  keepOpen?: boolean;
  silence?: number;
  verbose?: boolean;
  join?: string;
}
