/**
 * One attempt to reach a peer, over and over: a neighbour of the configuration, or new keys for a
 * link that is up.
 *
 * Owns what a handshake needs between its messages and the pauses between attempts; when to send is
 * the link table's.
 */

import { equalBytes } from '../base/bytes.ts';
import { makeEndpoint, type Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import { Timer, type Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { Channel } from './channel.ts';
import { DialOutcome } from './dial-outcome.ts';
import type { Call, CallSecrets } from './handshaker.ts';
import type { Link } from './link.ts';
import type { ToldRefusal } from './told-refusal.ts';
import { isUnresolved, type DialConfig } from './dial-config.ts';

/**
 * A key that was asked for is asked for again after this many unanswered attempts: the peer may
 * have a new one.
 */
export const FORGET_KEY_AFTER = 12;
/** This many attempts follow one another at the pace of the configuration, then the pauses grow. */
const QUICK_ATTEMPTS = 8;
const GROWTH = 1.5,
  SLOWEST = 2;
/**
 * Where the first attempt had no answer, each of the next quick ones is sent so many times in its
 * pause: who is flooded gives an answer to some calls only, whichever, and twelve a second get
 * through soon.
 */
const KNOCKS = 3;
const NOTHING = new Uint8Array(0);

export class Dial implements Call {
  config: DialConfig;
  readonly endpoint: Endpoint;
  readonly timer: Timer;
  /** Why it has no link. */
  readonly outcome: DialOutcome;
  /** The channel that is to get new keys, null for a dial of the configuration. */
  readonly #channel: Channel | null;
  link: Link | null = null;
  key: Uint8Array | null;
  /** Receiver index offered in the INITs of this round; -1 when none is outstanding. */
  index = -1;
  attempts = 0;
  secrets: CallSecrets | null = null;
  /** What somebody at the dialled address, or elsewhere, said of this round last; unproven. */
  refusal: ToldRefusal | null = null;
  #pause: Micros = 0;
  #gap: Micros = 0;
  #knocksLeft = 0;
  #sent: Uint8Array = NOTHING;

  constructor(
    config: DialConfig,
    channel: Channel | null,
    now: Micros,
    onDue: (dial: Dial) => void,
  ) {
    this.config = config;
    this.endpoint = makeEndpoint(config.address, config.port);
    this.#channel = channel;
    this.key = config.key ?? null;
    this.timer = new Timer(() => onDue(this));
    this.outcome = new DialOutcome(now);
  }

  /** For people: the address that is dialled, or the name that is to be looked up. */
  get at(): string {
    const { host, port } = this.config;
    return isUnresolved(this.config) ? `${host!}:${port}` : this.endpoint.key;
  }

  get node(): NodeId | null {
    return this.config.node;
  }

  /** True when this is for new keys of a link that is up. */
  get rekeys(): boolean {
    return this.#channel !== null;
  }

  get continues(): number {
    return this.#channel?.epoch.remoteIndex ?? 0;
  }

  /** The key was not given by the operator: it may be asked for again. */
  get forgetsKey(): boolean {
    return this.config.key === undefined;
  }

  get asksKey(): boolean {
    return this.outcome.asked;
  }

  /**
   * What the peer's certificate says is what it answers to from now on, unless the operator said
   * otherwise.
   */
  learnKey(certificate: Certificate | null): void {
    if (certificate !== null && this.forgetsKey) this.key = certificate.exchangeKey;
  }

  /** Another attempt was made: `bytes[0..length)` were sent. The pause until the next one. */
  nextPause(redialUs: Micros, bytes: Uint8Array, length: number): Micros {
    const first = this.attempts === 0;
    this.attempts += 1;
    if (this.attempts <= QUICK_ATTEMPTS) this.#pause = redialUs;
    else this.#pause = Math.min(SLOWEST * redialUs, Math.round(this.#pause * GROWTH));
    this.#knocksLeft = first || this.attempts > QUICK_ATTEMPTS ? 0 : KNOCKS - 1;
    this.#sent = this.#knocksLeft > 0 ? bytes.slice(0, length) : NOTHING;
    return this.#pause;
  }

  /** How long until it is due, `wait` being what is left of the pause when it begins, 0 later. */
  untilKnock(wait: Micros): Micros {
    if (wait > 0) this.#gap = Math.floor(wait / (this.#knocksLeft + 1));
    return this.#gap;
  }

  /** The same once more, in the midst of the pause; null: the pause is over. */
  knockAgain(): Uint8Array | null {
    if (this.#knocksLeft === 0) return null;
    this.#knocksLeft -= 1;
    return this.#sent;
  }

  /** The round is over. */
  rest(): void {
    this.index = -1;
    this.attempts = 0;
    this.secrets = null;
    this.#knocksLeft = 0;
    this.#sent = NOTHING;
    this.refusal = null;
  }

  /** Whether `config` means the same neighbour in the same way. */
  isFor(config: DialConfig): boolean {
    const mine = this.config;
    const sameKey =
      mine.key === undefined
        ? config.key === undefined
        : config.key !== undefined && equalBytes(mine.key, config.key);
    return (
      mine.address === config.address &&
      mine.port === config.port &&
      mine.host === config.host &&
      mine.node === config.node &&
      mine.congestion === config.congestion &&
      sameKey
    );
  }
}
