/**
 * The keys of links as they age: renewed by time, by volume, and when this node's certificate
 * changes; those before them are still taken for a while.
 *
 * Owns the handshakes for new keys that are under way. The side that dialled renews them, the other
 * one when it does not. What such a handshake makes is agreements.ts's.
 */

import { SECOND, type Micros } from '../base/time.ts';
import { CLOSE_REMOVED } from '../wire/frames.ts';
import type { Caller } from './caller.ts';
import type { Channel, Epoch } from './channel.ts';
import { Dial } from './dial.ts';
import type { LinkEnvironment, LinkTableConfig } from './environment.ts';
import type { Handshaker } from './handshaker.ts';
import type { Link } from './link.ts';
import type { ReceiverIndices } from './receiver-indices.ts';

/** What was sent under keys before the last ones is still opened for this long. */
const OVERLAP: Micros = 10 * SECOND;
/** Keys offered to a peer who never used them are forgotten after this long. */
const CONFIRM_TIME: Micros = 5 * SECOND;
/**
 * The side that answered the last handshake renews keys itself when the dialler has not by then.
 */
const LATER = 1.25;
/** A link whose keys could not be renewed ends when they are this many times too old. */
const TOO_OLD = 3;
/** On top of that, as a link that nobody dials is remembered for so long. */
const FORGET_AFTER: Micros = 30 * SECOND;

export class KeyRenewal {
  readonly #env: LinkEnvironment<Link>;
  readonly #handshaker: Handshaker;
  readonly #indices: ReceiverIndices;
  readonly #caller: Caller;
  readonly #config: () => LinkTableConfig;
  /** Handshakes for new keys under way. */
  readonly #dials = new Map<Link, Dial>();

  /** `config`: what is in force; a reload may change it. */
  constructor(
    env: LinkEnvironment<Link>,
    handshaker: Handshaker,
    indices: ReceiverIndices,
    caller: Caller,
    config: () => LinkTableConfig,
  ) {
    this.#env = env;
    this.#handshaker = handshaker;
    this.#indices = indices;
    this.#caller = caller;
    this.#config = config;
  }

  /** The handshake for new keys of `link` that is under way. */
  of(link: Link): Dial | undefined {
    return this.#dials.get(link);
  }

  /** The link has new keys, or is down. */
  end(link: Link): void {
    const dial = this.#dials.get(link);
    if (dial !== undefined) this.endRound(dial);
  }

  stop(): void {
    for (const dial of this.#dials.values()) this.#env.timers.cancel(dial.timer);
  }

  /** Both sides have the keys of `epoch`: it carries the channel from now on. */
  enter(link: Link, channel: Channel, epoch: Epoch): void {
    channel.flush();
    const over = channel.enter(epoch, this.#env.clock.now() + OVERLAP);
    if (over !== null) this.#indices.forgetEpoch(over);
    this.end(link);
    this.#env.log.debug({ peer: link.label, rekeys: channel.rekeys }, 'link has new keys');
  }

  /** The dial rests until its link goes down. */
  endRound(dial: Dial): void {
    if (dial.index >= 0) this.#indices.delete(dial.index);
    dial.rest();
    this.#env.timers.cancel(dial.timer);
    if (dial.rekeys) this.#dials.delete(dial.link!);
  }

  /** Every second: forgets keys whose time is over, and asks for new ones when they are due. */
  look(link: Link, channel: Channel, now: Micros): void {
    const { epoch } = channel;
    if (epoch.seal === null) return;
    if (channel.lastEpoch !== null && now >= channel.lastUntil) {
      this.#indices.forgetEpoch(channel.lastEpoch);
      channel.lastEpoch = null;
    }
    if (channel.nextEpoch !== null && now - channel.nextEpoch.madeAt >= CONFIRM_TIME) {
      this.#indices.forgetEpoch(channel.nextEpoch);
      channel.nextEpoch = null;
    }
    const { rekeyAfterUs, rekeyAfterDatagrams } = this.#config();
    const patience = link.dialled ? 1 : LATER;
    const age = now - epoch.madeAt;
    if (age > TOO_OLD * rekeyAfterUs + FORGET_AFTER) {
      link.down('keys too old', CLOSE_REMOVED);
      return;
    }
    const due =
      age >= patience * rekeyAfterUs ||
      epoch.sent >= patience * rekeyAfterDatagrams ||
      epoch.presented !== this.#handshaker.presented;
    if (!due || this.#dials.has(link) || channel.nextEpoch !== null) return;
    const { address, port } = link.endpoint;
    const key = link.certificate === null ? {} : { key: link.certificate.exchangeKey };
    const dial = new Dial(
      { address, port, node: link.node, ...key },
      channel,
      this.#env.clock.now(),
      (next) => this.#caller.onDue(next),
    );
    dial.link = link;
    this.#dials.set(link, dial);
    this.#caller.call(dial);
  }
}
