/**
 * Modes of a packet: the service by which links carry it, and the strategy by which it finds its
 * way. WIRE.md section 4.
 *
 * Owns the codes that this code names. The table of all of them, a row for each code that a header
 * may have, is the client protocol's, as programs ask for them by name; what a row does is where it
 * is done: services of links in core/link/services.ts, strategies in core/node/strategies.ts.
 */

import {
  LINK_SERVICE_NAMES,
  LINK_SERVICES,
  GRAPHS,
  ROUTING_NAMES,
  ROUTINGS,
  type GraphName,
  type LinkServiceName,
  type RoutingName,
} from 'spines-client/protocol';
import { assert } from '../base/assert.ts';

export const SERVICE_BEST_EFFORT = 0;
export const SERVICE_RELIABLE = 1;
export const SERVICE_REALTIME = 2;

export const DISSEMINATION_LINK_STATE = 0;
export const DISSEMINATION_BYZANTINE = 1;
export const DISSEMINATION_ROUTED = 2;
export const DISSEMINATION_GRAPH = 3;

export type ServiceName = LinkServiceName;
export type DisseminationName = RoutingName;

export type { GraphName };
export const GRAPH_NAMES: readonly GraphName[] = GRAPHS;
export const SERVICE_NAMES: readonly ServiceName[] = LINK_SERVICE_NAMES;
export const DISSEMINATION_NAMES: readonly DisseminationName[] = ROUTING_NAMES;

assert(
  SERVICE_NAMES[SERVICE_BEST_EFFORT] === 'best-effort' &&
    SERVICE_NAMES[SERVICE_RELIABLE] === 'reliable' &&
    SERVICE_NAMES[SERVICE_REALTIME] === 'realtime' &&
    DISSEMINATION_NAMES[DISSEMINATION_LINK_STATE] === 'link-state' &&
    DISSEMINATION_NAMES[DISSEMINATION_BYZANTINE] === 'byzantine' &&
    DISSEMINATION_NAMES[DISSEMINATION_ROUTED] === 'paths' &&
    DISSEMINATION_NAMES[DISSEMINATION_GRAPH] === 'graph',
  'codes are positions in the table of names',
);

/** Code of the link service of that name; undefined when there is none. */
export function serviceCode(name: ServiceName): number;
export function serviceCode(name: string): number | undefined;
export function serviceCode(name: string): number | undefined {
  return codeIn(SERVICE_NAMES, name);
}

/** Code of the dissemination of that name; undefined when there is none. */
export function disseminationCode(name: DisseminationName): number;
export function disseminationCode(name: string): number | undefined;
export function disseminationCode(name: string): number | undefined {
  return codeIn(DISSEMINATION_NAMES, name);
}

/** `code` must be one of the table. */
export function serviceName(code: number): ServiceName {
  return SERVICE_NAMES[code]!;
}

/** `code` must be one of the table. */
export function disseminationName(code: number): DisseminationName {
  return DISSEMINATION_NAMES[code]!;
}

/** Names as a sentence offers them: "a", "b" or "c". */
export function namesText(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`);
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)!}`;
}

/** Whether sessions of that dissemination take only packets whose source it proves. `@hot` */
export function demandsProof(dissemination: number): boolean {
  return ROUTINGS[dissemination]?.proves === true;
}

/** Whether packets of that dissemination carry the graph of several ways. `@hot` */
export function carriesGraph(dissemination: number): boolean {
  return ROUTINGS[dissemination]?.several === true;
}

/** Why streams do not go over that link service, in words; null: they do. `@hot` */
export function whyNoStreams(service: number): string | null {
  return LINK_SERVICES[service]?.noStreams ?? null;
}

/** What a program is told that asks for that dissemination where a daemon does not have it. */
export function lackingText(dissemination: number): string {
  const { name, needsIdentities } = ROUTINGS[dissemination]!;
  return needsIdentities
    ? `${name} routing needs identities and this daemon has security: none; use routing ` +
        '"link-state"'
    : `this daemon has no ${name} routing; use routing "link-state"`;
}

function codeIn(names: readonly string[], name: string): number | undefined {
  const code = names.indexOf(name);
  return code < 0 ? undefined : code;
}
