/**
 * Modes that programs may ask for: the service by which links carry what a socket sends, and the
 * routing by which it finds its way.
 *
 * The one table of both, a row each; daemon, client library, commands and topology files read it,
 * and types of names are made of it. Position in the table is the code in the header of packets, so
 * rows are only ever added behind the others. Part of the protocol (protocol.ts).
 */

interface LinkService {
  readonly name: string;
  /** Why streams do not go over it, in words; null: they do. */
  readonly noStreams: string | null;
}

interface Routing {
  readonly name: string;
  /** Daemons without identities (`security: none`) do not have it. */
  readonly needsIdentities: boolean;
  /** It proves by itself who sent a packet; sessions with it take only what it brought. */
  readonly proves: boolean;
  /** Packets go several ways at once; of datagrams that nobody keeps until they arrive. */
  readonly several: boolean;
}

export const LINK_SERVICES = [
  { name: 'best-effort', noStreams: null },
  { name: 'reliable', noStreams: null },
  { name: 'realtime', noStreams: 'a stream has no deadline' },
] as const satisfies readonly LinkService[];

export const ROUTINGS = [
  { name: 'link-state', needsIdentities: false, proves: false, several: false },
  { name: 'byzantine', needsIdentities: true, proves: true, several: false },
  { name: 'paths', needsIdentities: false, proves: false, several: true },
  { name: 'graph', needsIdentities: false, proves: false, several: true },
] as const satisfies readonly Routing[];

/**
 * What packets with routing 'graph' go over: one that their daemon chooses by the problems that
 * there are; two node-disjoint paths; all last links of the destination; all first links of the
 * source; all of these; everywhere. In time each.
 */
export const GRAPHS = ['auto', 'two', 'dst', 'src', 'robust', 'flood'] as const;

export type GraphName = (typeof GRAPHS)[number];
export type LinkServiceName = (typeof LINK_SERVICES)[number]['name'];
export type RoutingName = (typeof ROUTINGS)[number]['name'];

export const LINK_SERVICE_NAMES: readonly LinkServiceName[] = LINK_SERVICES.map(({ name }) => name);
/** Those that streams go over. */
export const STREAM_LINK_NAMES: readonly LinkServiceName[] = LINK_SERVICES.filter(
  ({ noStreams }) => noStreams === null,
).map(({ name }) => name);
export const ROUTING_NAMES: readonly RoutingName[] = ROUTINGS.map(({ name }) => name);

/** Of routing: whether packets go several ways at once. */
export function hasSeveralWays(routing: RoutingName): boolean {
  return ROUTINGS.some(({ name, several }) => name === routing && several);
}

/** Names as a sentence offers them: "a, b or c". */
export function offered(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)!}`;
}
