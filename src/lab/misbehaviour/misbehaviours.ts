/**
 * What a daemon in a laboratory may be made to do with what it should pass on: names, and how they
 * are written, in topology files and in requests.
 *
 * What each does is misbehaviour.ts's, and lab/adversary's for what needs a simulation.
 */

/**
 * What may follow the name of a misbehaviour, behind a colon: a part of one, a time in
 * milliseconds, a number of bytes, packets, or of something a second.
 */
export type MisbehaviourAmount = 'part' | 'ms' | 'bytes' | 'packets' | 'perSecond';

/**
 * What a daemon in a laboratory may be made to do with what it should pass on. `null`: nothing
 * follows the name.
 */
export const MISBEHAVIOURS = {
  none: null,
  'black-hole': null,
  'drop-data': null,
  'drop-acks': null,
  'drop-routes': null,
  'grey-hole': 'part',
  selective: 'bytes',
  dynamic: null,
  'corrupt-onion': null,
  delay: 'ms',
} as const satisfies Readonly<Record<string, MisbehaviourAmount | null>>;

/**
 * What only a simulation can do: nodes that conspire, tunnels between them, bytes that no daemon
 * makes.
 */
export const SIMULATED_MISBEHAVIOURS = {
  rush: null,
  wormhole: null,
  'super-wormhole': null,
  'hop-deletion': null,
  'forge-path': null,
  'bad-key': null,
  staircase: null,
  'corrupt-data': null,
  'corrupt-acks': null,
  'fake-ack': null,
  'replay-ack': null,
  'replay-data': null,
  reorder: 'ms',
  'slack-burning': null,
  'lie-hold': 'ms',
  'signature-flood': 'perSecond',
  'request-storm': 'perSecond',
  'hostile-weights': null,
  congestion: 'perSecond',
  'source-flood': 'perSecond',
  'probe-exhaustion': 'perSecond',
  'forged-sources': 'perSecond',
  'forged-paths': 'perSecond',
  'good-bad-cycle': 'packets',
  greedy: null,
  anything: null,
} as const satisfies Readonly<Record<string, MisbehaviourAmount | null>>;

type Named = typeof MISBEHAVIOURS & typeof SIMULATED_MISBEHAVIOURS;
type Amounted = { [Name in keyof Named]: Named[Name] extends null ? never : Name }[keyof Named];

/** As it is written: a name, or a name and an amount, "grey-hole:0.3", "delay:50ms". */
export type MisbehaviourName = keyof Named | `${Amounted}:${string}`;

export interface MisbehaviourOrder {
  readonly name: keyof Named;
  /** In the unit of its name; null = not said. */
  readonly amount: number | null;
}

/** What `text` orders, null when it is none of the names, or its amount is none. */
export function parseMisbehaviour(text: string): MisbehaviourOrder | null {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  const known: Readonly<Record<string, MisbehaviourAmount | null>> = {
    ...MISBEHAVIOURS,
    ...SIMULATED_MISBEHAVIOURS,
  };
  if (!Object.hasOwn(known, name)) return null;
  if (colon < 0) return { name: name as keyof Named, amount: null };
  const unit = known[name];
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms)?$/.exec(text.slice(colon + 1));
  if (
    match === null ||
    unit === null ||
    unit === undefined ||
    (match[2] === 'ms') !== (unit === 'ms')
  )
    return null;
  const amount = Number(match[1]);
  return unit === 'part' && amount > 1 ? null : { name: name as keyof Named, amount };
}
