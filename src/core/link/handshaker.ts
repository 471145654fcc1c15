/**
 * What the link table needs of a handshake, sealed or not: the bytes of its messages and what they
 * say.
 *
 * Two implementations: plain-handshaker.ts for laboratories, sealed-handshaker.ts for everybody
 * else. Neither knows links or dials; the table decides what an agreement means.
 */

import type { Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import type { Sealer } from '../crypto/primitives.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { DropReason } from '../wire/drop.ts';
import type { VersionRange } from '../wire/versions.ts';

/** One run of a daemon, from its start to its end. */
export interface Run {
  /** u48, unpredictable: two runs have two. */
  readonly instance: number;
  /** When it began: u48, units of 100 us since 1970 by the daemon's clock. */
  readonly started: number;
}

/** What a handshake message said of its sender. */
export interface PeerHello {
  readonly node: NodeId;
  /** Whom it means, 0 for anybody. */
  readonly peer: NodeId;
  /** The sender's receiver index. */
  readonly index: number;
  readonly instance: number;
  /** When that run of its daemon began, by its own clock. */
  readonly started: number;
  /** The wire version that both sides speak from now on. */
  readonly version: number;
  /**
   * Receiver index of the channel, on this side, that the sender wants to continue with new keys; 0
   * = a new channel.
   */
  readonly continues: number;
  /** Grows with every INIT of a node; 0 where unknown. */
  readonly stamp: number;
  /** Ids of the pre-shared keys that the sender of an INIT has. */
  readonly preshared: readonly number[];
  /** Null on links that are not sealed. */
  readonly certificate: Certificate | null;
}

/** Keys for the two directions of a channel. */
export interface Seal {
  readonly send: Sealer;
  readonly receive: Sealer;
}

/** What both sides of a handshake go by from now on. */
export interface Agreement {
  readonly hello: PeerHello;
  /** Null on links that are not sealed. */
  readonly seal: Seal | null;
  /**
   * Names the certificate that we showed and our pre-shared keys: of an earlier certificate than
   * `presented` if the peer asked for that. '' where there are none.
   */
  readonly shown: string;
}

/** The agreement of the side that answers, and the bytes of its RESPONSE. */
export interface Answer extends Agreement {
  readonly length: number;
}

/** An INIT that was read and found true. Whoever does not want its sender lets it be. */
export interface Invitation {
  readonly hello: PeerHello;
  /**
   * Writes the RESPONSE to `out`, once; null when it cannot be made. `continues`: receiver index,
   * at the peer, of the channel that gets new keys; 0 = a new channel.
   */
  accept(
    localIndex: number,
    continues: number,
    run: Run,
    attempt: number,
    out: Uint8Array,
  ): Answer | null;
}

/** A handshake message that leads to nothing: why, and what it said nevertheless. */
export class Declined {
  readonly reason: DropReason;
  /** Null: it was not read as far as that. */
  readonly hello: PeerHello | null;
  /**
   * The certificate that it was declined for, shown by whoever has its key; null for another
   * reason.
   */
  readonly certificate: Certificate | null;
  /** Of the INIT, in units of 100 us since 1970; 0 where unknown. */
  readonly stamp: number;
  /** Where the double of its sender is, when it is declined for that. */
  readonly twin: Endpoint | null;
  static readonly #bare = new Map<DropReason, Declined>();

  private constructor(
    reason: DropReason,
    hello: PeerHello | null,
    certificate: Certificate | null,
    stamp: number,
    twin: Endpoint | null,
  ) {
    this.reason = reason;
    this.hello = hello;
    this.certificate = certificate;
    this.stamp = stamp;
    this.twin = twin;
  }

  /** Before anything was read that counts: floods of these make no objects. */
  static unread(reason: DropReason): Declined {
    let declined = Declined.#bare.get(reason);
    if (declined === undefined)
      Declined.#bare.set(reason, (declined = new Declined(reason, null, null, 0, null)));
    return declined;
  }

  static certificate(reason: DropReason, shown: Certificate | null, stamp: number): Declined {
    return new Declined(reason, null, shown, stamp, null);
  }

  /** The message is true, and its sender is not wanted. */
  static sender(reason: DropReason, hello: PeerHello, twin: Endpoint | null = null): Declined {
    return new Declined(reason, hello, null, hello.stamp, twin);
  }
}

/** What a handshake datagram that is neither INIT nor RESPONSE came to. */
export interface Heard {
  readonly reason: DropReason;
  /** The key that the peer showed; null: none. */
  readonly key: Uint8Array | null;
  /** It gave the call what it lacked: the call should be made again now. */
  readonly retry: boolean;
}

/**
 * One attempt to reach a peer: what makes its INIT, and what the handshaker keeps until the answer.
 */
export interface Call {
  readonly node: NodeId | null;
  /** The peer's static key; null = not known yet. */
  key: Uint8Array | null;
  /** Our receiver index for the channel to be. */
  index: number;
  /** INITs of this round so far. */
  attempts: number;
  /** Receiver index, at the peer, of the channel that gets new keys; 0 = a new channel. */
  continues: number;
  /** The key was asked for although it is known: to learn who is there. */
  readonly asksKey?: boolean;
  /** The handshaker's own. */
  secrets: CallSecrets | null;
}

/** Opaque to the table. */
export interface CallSecrets {
  readonly kind: 'sealed';
}

/** Keeps nothing of one message for the next but budgets, and what a call holds of its own. */
export interface Handshaker {
  readonly sealed: boolean;
  /** What this daemon speaks. */
  readonly versions: VersionRange;
  /**
   * Names the certificate that we present now and our pre-shared keys; '' where there are none.
   * Keys of links are made anew when it changes.
   */
  readonly presented: string;
  /**
   * Writes the datagram that `call` needs next to `out`; returns its length, 0 when the call cannot
   * be made.
   */
  writeInit(call: Call, run: Run, out: Uint8Array): number;
  /** Equal for copies of one INIT and only for those; '' when it is not one. */
  fingerprint(bytes: Uint8Array, length: number): string;
  /**
   * Reads an INIT. May answer by itself (a cookie). `behind`: many wait for it, and who shows no
   * cookie is given none now.
   */
  readInit(
    bytes: Uint8Array,
    length: number,
    from: Endpoint,
    behind?: boolean,
  ): Invitation | Declined;
  /** Reads the RESPONSE to `call`. */
  readResponse(call: Call, bytes: Uint8Array, length: number): Agreement | Declined;
  /**
   * Writes the question for the key at the call's address to `out`, to learn who is there; 0 where
   * there are no keys. `onOther` hears the answer.
   */
  writeKeyQuestion(call: Call, out: Uint8Array): number;
  /** Any other handshake datagram; `call`: whom its index stands for. */
  onOther(bytes: Uint8Array, length: number, from: Endpoint, call: Call | null): Heard;
}

/** Budgets for work that strangers can cause, per second and at once. */
export const HANDSHAKES_PER_SECOND = 200;
export const HANDSHAKES_BURST = 100;
