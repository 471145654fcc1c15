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
  node: NodeId;
  /** Whom it means, 0 for anybody. */
  peer: NodeId;
  /** The sender's receiver index. */
  index: number;
  instance: number;
  /** When that run of its daemon began, by its own clock. */
  started: number;
  /** The wire version that both sides speak from now on. */
  version: number;
  /**
   * Receiver index of the channel, on this side, that the sender wants to continue with new keys; 0
   * = a new channel.
   */
  continues: number;
  /** Grows with every INIT of a node; 0 where unknown. */
  stamp: number;
  /** Ids of the pre-shared keys that the sender of an INIT has. */
  preshared: readonly number[];
  /** Null on links that are not sealed. */
  certificate: Certificate | null;
}

/** Keys for the two directions of a channel. */
export interface Seal {
  readonly send: Sealer;
  readonly receive: Sealer;
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

export interface Handshaker {
  readonly sealed: boolean;
  /** What this daemon speaks. */
  readonly versions: VersionRange;
  /** The message read last. */
  readonly hello: PeerHello;
  /**
   * The certificate in the message read last when that was refused for it; null for another reason.
   */
  readonly refused: Certificate | null;
  /**
   * Names the certificate that we present now and our pre-shared keys; '' where there are none.
   * Keys of links are made anew when it changes.
   */
  readonly presented: string;
  /**
   * The same of the handshake that `seal` is of: of an earlier certificate if the peer asked for
   * that.
   */
  readonly shown: string;
  /**
   * Writes the datagram that `call` needs next to `out`; returns its length, 0 when the call cannot
   * be made.
   */
  writeInit(call: Call, run: Run, out: Uint8Array): number;
  /** Equal for copies of one INIT and only for those; '' when it is not one. */
  fingerprint(bytes: Uint8Array, length: number): string;
  /**
   * Reads an INIT into `hello`. May answer by itself (a cookie). `behind`: many wait for it, and
   * who shows no cookie is given none now.
   */
  readInit(bytes: Uint8Array, length: number, from: Endpoint, behind?: boolean): DropReason;
  /**
   * Answers the INIT read last: writes the RESPONSE to `out`, 0 when impossible. The keys are in
   * `seal`.
   */
  writeResponse(
    localIndex: number,
    continues: number,
    run: Run,
    attempt: number,
    out: Uint8Array,
  ): number;
  /** Reads the RESPONSE to `call` into `hello`; the keys are in `seal`. */
  readResponse(call: Call, bytes: Uint8Array, length: number): DropReason;
  /**
   * Writes the question for the key at the call's address to `out`, to learn who is there; 0 where
   * there are no keys. The answer shows in `keyShown`.
   */
  writeKeyQuestion(call: Call, out: Uint8Array): number;
  /**
   * Any other handshake datagram; `call`: whom its index stands for. `takeRetry` says whether the
   * call should be made again now.
   */
  onOther(bytes: Uint8Array, length: number, from: Endpoint, call: Call | null): DropReason;
  /**
   * The keys that the last writeResponse or readResponse agreed on; null on links that are not
   * sealed.
   */
  readonly seal: Seal | null;
  /** The key that the `onOther` before showed, once. */
  takeKeyShown(): Uint8Array | null;
  /** True once after an `onOther` that gives the call what it lacked. */
  takeRetry(): boolean;
}

/** Budgets for work that strangers can cause, per second and at once. */
export const HANDSHAKES_PER_SECOND = 200;
export const HANDSHAKES_BURST = 100;
