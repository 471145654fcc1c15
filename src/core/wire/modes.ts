/**
 * Modes of a packet: the service by which links carry it, and the strategy by which it finds its
 * way. WIRE.md section 4.
 *
 * Owns codes and names, one row for each that a header may have, and what a daemon lacks that does
 * not have it. What a row does is where it is done: services of links in core/link/services.ts,
 * strategies in core/node/strategies.ts.
 */

export const SERVICE_BEST_EFFORT = 0;
export const SERVICE_RELIABLE = 1;
export const SERVICE_REALTIME = 2;

export const DISSEMINATION_LINK_STATE = 0;
export const DISSEMINATION_BYZANTINE = 1;

interface Mode {
  readonly code: number;
  readonly name: string;
  /** What a program is told that asks for it where the daemon has none; null: each daemon has. */
  readonly lacking: string | null;
}

interface Dissemination extends Mode {
  /** Whether it proves who sent a packet. */
  readonly proves: boolean;
}

/** In the order of their codes. */
export const LINK_SERVICES = [
  { code: SERVICE_BEST_EFFORT, name: 'best-effort', lacking: null },
  { code: SERVICE_RELIABLE, name: 'reliable', lacking: null },
  { code: SERVICE_REALTIME, name: 'realtime', lacking: null },
] as const satisfies readonly Mode[];

/** In the order of their codes. */
export const DISSEMINATIONS = [
  { code: DISSEMINATION_LINK_STATE, name: 'link-state', lacking: null, proves: false },
  {
    code: DISSEMINATION_BYZANTINE,
    name: 'byzantine',
    lacking:
      'byzantine routing needs identities and this daemon has security: none; use routing ' +
      '"link-state"',
    proves: true,
  },
] as const satisfies readonly Dissemination[];

export type ServiceName = (typeof LINK_SERVICES)[number]['name'];
export type DisseminationName = (typeof DISSEMINATIONS)[number]['name'];

export const SERVICE_NAMES: readonly ServiceName[] = LINK_SERVICES.map(({ name }) => name);
export const DISSEMINATION_NAMES: readonly DisseminationName[] = DISSEMINATIONS.map(
  ({ name }) => name,
);

/** Code of the link service of that name; undefined when there is none. */
export function serviceCode(name: ServiceName): number;
export function serviceCode(name: string): number | undefined;
export function serviceCode(name: string): number | undefined {
  return LINK_SERVICES.find((row) => row.name === name)?.code;
}

/** Code of the dissemination of that name; undefined when there is none. */
export function disseminationCode(name: DisseminationName): number;
export function disseminationCode(name: string): number | undefined;
export function disseminationCode(name: string): number | undefined {
  return DISSEMINATIONS.find((row) => row.name === name)?.code;
}

/** `code` must be one of the table. */
export function serviceName(code: number): ServiceName {
  return LINK_SERVICES[code]!.name;
}

/** `code` must be one of the table. */
export function disseminationName(code: number): DisseminationName {
  return DISSEMINATIONS[code]!.name;
}

/** Names as a sentence offers them: "a", "b" or "c". */
export function namesText(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`);
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)!}`;
}

/** Whether sessions of that dissemination take only packets whose source it proves. `@hot` */
export function demandsProof(dissemination: number): boolean {
  return DISSEMINATIONS[dissemination]?.proves === true;
}
