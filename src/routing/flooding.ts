/**
 * Keeping one neighbour's link-state database equal to ours.
 *
 * For every origin we remember the newest sequence number the neighbour is known to have (it sent, acknowledged
 * or listed it). What we hold newer than that is sent, a bounded number at a time, and again until it is
 * acknowledged; a newer advertisement of the same origin simply replaces the older one, so what waits is bounded by
 * the number of origins. When the link comes up both sides list what they have, and only the difference
 * is sent.
 *
 * In a network with identities a neighbour may have reasons not to take an advertisement yet, and one that lies must
 * harm nobody but itself: what stays unacknowledged is sent more and more rarely and holds nothing else up, and
 * a digest may say that the neighbour has less than we thought.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Link } from '../link/link.ts';
import { copyBytes, putU16 } from '../base/bytes.ts';
import { FRAME_DIGEST, FRAME_LINK_STATE, FRAME_LINK_STATE_ACK } from '../wire/frames.ts';
import {
  CONTROL_CHECK_BYTES, DIGEST_HEAD_BYTES, DIGEST_LAST, LIFETIME_BYTES, putControlCheck, putVersionEntry, VERSION_ENTRY_BYTES, versionEntryOrigin, versionEntrySequence,
} from '../wire/link-state.ts';
import { FRAME_BODY_BYTES_MAX } from '../wire/sizes.ts';
import type { LinkStateDatabase } from './link-state-database.ts';

/** News wait this long for company: one datagram carries a burst of changes. Costs this much per hop when alone. */
const BATCH_TIME: Micros = 1 * MILLISECOND;
/** Acknowledgements wait at most this long for a datagram to share. */
const ACK_TIME: Micros = 5 * MILLISECOND;
/** Advertisements sent and not yet acknowledged. */
const IN_FLIGHT_MAX = 64;
const ACKS_PER_FRAME_MAX = 100;
const DIGEST_ENTRIES_MAX = Math.floor((FRAME_BODY_BYTES_MAX - DIGEST_HEAD_BYTES - CONTROL_CHECK_BYTES) / VERSION_ENTRY_BYTES);
const RETRY_MIN: Micros = 40 * MILLISECOND;
const RETRY_MAX: Micros = 1_000 * MILLISECOND;
/** In a network with identities: after so many tries without an answer the next come at this interval. */
const PATIENT_TRIES = 12;
const PATIENT_RETRY: Micros = 10_000 * MILLISECOND;

interface InFlight { sequence: number; sentAt: Micros; tries: number }

export class FloodingPeer {
  readonly link: Link;
  readonly #database: LinkStateDatabase;
  readonly #clock: Clock;
  readonly #timers: Timers;
  /** Our own id in a network with identities, null in one without. */
  readonly #signedSelf: NodeId | null;
  /** Newest sequence the neighbour is known to have. Bounded by the database's limit. */
  readonly #known = new Map<NodeId, number>();
  /** Origins to send, oldest first. */
  readonly #pending = new Set<NodeId>();
  readonly #inFlight = new Map<NodeId, InFlight>();
  readonly #acks: { origin: NodeId; sequence: number }[] = [];
  readonly #retryTimer = new Timer(() => this.#retry());
  readonly #batchTimer = new Timer(() => this.#pump());
  readonly #ackTimer = new Timer(() => this.#flushAcks());
  /** Until the neighbour's digest is in, or this timer fires, nothing is sent but digests and news. */
  readonly #digestTimer = new Timer(() => this.#startSending());
  #waitingForDigest = true;
  sent = 0;
  resent = 0;

  /** `signedSelf`: our own id in a network with identities, null in one without. */
  constructor(link: Link, database: LinkStateDatabase, clock: Clock, timers: Timers, signedSelf: NodeId | null) {
    this.link = link;
    this.#database = database;
    this.#clock = clock;
    this.#timers = timers;
    this.#signedSelf = signedSelf;
  }

  /** The link came up: list what we have. */
  start(): void {
    const patience = Math.max(100 * MILLISECOND, Math.round(3 * this.link.liveness.rtt.smoothedUs));
    this.#timers.arm(this.#digestTimer, this.#clock.now() + patience);
    for (const record of this.#database.records()) this.#pending.add(record.advertisement.origin);
    this.#sendDigest();
  }

  /** The link went down. */
  stop(): void {
    this.#timers.cancel(this.#retryTimer);
    this.#timers.cancel(this.#digestTimer);
    this.#timers.cancel(this.#batchTimer);
    this.#timers.cancel(this.#ackTimer);
  }

  /** The neighbour has this, because it just sent it. `known`: what of it to remember, when that is less. */
  onReceived(origin: NodeId, sequence: number, known = sequence): void {
    this.#learn(origin, known);
    this.acknowledge(origin, sequence);
  }

  /** Stops the neighbour from sending this again, also when there is no room to remember it. */
  acknowledge(origin: NodeId, sequence: number): void {
    this.#acks.push({ origin, sequence });
    if (this.#acks.length >= ACKS_PER_FRAME_MAX) this.#flushAcks();
    else if (!this.#ackTimer.armed) this.#timers.arm(this.#ackTimer, this.#clock.now() + ACK_TIME);
  }

  /** The database has something newer for `origin`. */
  onNewer(origin: NodeId): void {
    if (this.#database.sequence(origin) <= (this.#known.get(origin) ?? -1)) return;
    this.#pending.add(origin);
    this.#inFlight.delete(origin);
    if (!this.#batchTimer.armed) this.#timers.arm(this.#batchTimer, this.#clock.now() + BATCH_TIME);
  }

  /** The neighbour believes an older version than ours: whatever we thought it had, it needs ours. */
  onOlder(origin: NodeId, sequence: number): void {
    this.#known.set(origin, sequence);
    this.onNewer(origin);
  }

  /** Sends now what waits for company: nothing comes after. */
  sendNow(): void {
    this.#waitingForDigest = false;
    this.#pump();
  }

  onAckFrame(bytes: Uint8Array, start: number, end: number): boolean {
    if ((end - start) % VERSION_ENTRY_BYTES !== 0 || end === start) return false;
    for (let at = start; at < end; at += VERSION_ENTRY_BYTES) {
      const origin = versionEntryOrigin(bytes, at);
      const sequence = versionEntrySequence(bytes, at);
      const flight = this.#inFlight.get(origin);
      if (flight === undefined || sequence > flight.sequence) continue;
      this.#learn(origin, sequence);
    }
    this.#pump();
    return true;
  }

  /** Returns false when malformed; calls `onEntry` for every version the neighbour lists. */
  onDigestFrame(bytes: Uint8Array, start: number, end: number, onEntry: (origin: NodeId, sequence: number) => void): boolean {
    const entries = end - start - DIGEST_HEAD_BYTES;
    if (entries < 0 || entries % VERSION_ENTRY_BYTES !== 0 || (bytes[start]! & ~DIGEST_LAST) !== 0) return false;
    for (let at = start + DIGEST_HEAD_BYTES; at < end; at += VERSION_ENTRY_BYTES) {
      const origin = versionEntryOrigin(bytes, at);
      const sequence = versionEntrySequence(bytes, at);
      // What the neighbour claims beyond our own knowledge is no reason to remember an origin.
      if (this.#database.get(origin) !== undefined) this.#learnListed(origin, sequence);
      onEntry(origin, sequence);
    }
    if ((bytes[start]! & DIGEST_LAST) !== 0) this.#startSending();
    return true;
  }

  #learnListed(origin: NodeId, sequence: number): void {
    const held = this.#database.sequence(origin);
    if (this.#signedSelf !== null) {
      // Whoever has a later number of ours shows it to us, signed, once it gets ours; a mere claim must not keep us silent.
      if (sequence > held && origin === this.#signedSelf) return;
      if (sequence < held) {
        this.onOlder(origin, sequence);
        return;
      }
    }
    this.#learn(origin, Math.min(sequence, held));
  }

  /** Tells the neighbour that we have nothing of these origins any more, so that it sends what it has. */
  sendLost(origins: readonly NodeId[]): void {
    for (let next = 0; next < origins.length; next += DIGEST_ENTRIES_MAX) {
      if (!this.#sendVersions(origins.slice(next, next + DIGEST_ENTRIES_MAX).map((origin) => ({ origin, sequence: 0 })), 0)) return;
    }
  }

  #flushAcks(): void {
    const acks = this.#acks;
    this.#timers.cancel(this.#ackTimer);
    if (acks.length === 0) return;
    const start = this.link.control(FRAME_LINK_STATE_ACK, acks.length * VERSION_ENTRY_BYTES + CONTROL_CHECK_BYTES);
    if (start >= 0) {
      const { buffer } = this.link.channel!;
      let at = start;
      for (const ack of acks) at = putVersionEntry(buffer, at, ack.origin, ack.sequence);
      putControlCheck(buffer, start, at);
    }
    acks.length = 0;
  }

  /** The origin left the database. */
  forget(origin: NodeId): void {
    this.#known.delete(origin);
    this.#pending.delete(origin);
    this.#inFlight.delete(origin);
  }

  #learn(origin: NodeId, sequence: number): void {
    if (sequence > (this.#known.get(origin) ?? -1)) this.#known.set(origin, sequence);
    const flight = this.#inFlight.get(origin);
    if (flight !== undefined && sequence >= flight.sequence) this.#inFlight.delete(origin);
  }

  #startSending(): void {
    this.#waitingForDigest = false;
    this.#timers.cancel(this.#digestTimer);
    this.#pump();
  }

  #pump(): void {
    if (this.#waitingForDigest) return;
    if (this.#pending.size > 0) this.#flushAcks();
    let waitFor = this.#briskFlights;
    for (const origin of this.#pending) {
      if (waitFor >= IN_FLIGHT_MAX) break;
      this.#pending.delete(origin);
      const sequence = this.#database.sequence(origin);
      if (sequence <= (this.#known.get(origin) ?? -1)) continue;
      this.#inFlight.set(origin, { sequence, sentAt: this.#clock.now(), tries: 0 });
      waitFor += 1;
      this.#send(origin);
      this.sent += 1;
    }
    if (this.#inFlight.size > 0 && !this.#retryTimer.armed) this.#armRetry();
  }

  #send(origin: NodeId): void {
    const record = this.#database.get(origin);
    if (record === undefined) return;
    const { bytes } = record.advertisement;
    const at = this.link.control(FRAME_LINK_STATE, LIFETIME_BYTES + bytes.length + CONTROL_CHECK_BYTES);
    if (at < 0) return;
    const { buffer } = this.link.channel!;
    putU16(buffer, at, Math.min(0xffff, this.#database.remainingSeconds(record, this.#clock.now())));
    copyBytes(bytes, 0, bytes.length, buffer, at + LIFETIME_BYTES);
    putControlCheck(buffer, at, at + LIFETIME_BYTES + bytes.length);
  }

  /** Flights that count against IN_FLIGHT_MAX: not those that the neighbour leaves unanswered for long. */
  get #briskFlights(): number {
    if (this.#signedSelf === null || this.#inFlight.size < IN_FLIGHT_MAX) return this.#inFlight.size;
    let count = 0;
    for (const flight of this.#inFlight.values()) if (flight.tries < PATIENT_TRIES) count += 1;
    return count;
  }

  get #retryAfter(): Micros {
    const { smoothedUs, variationUs } = this.link.liveness.rtt;
    return Math.min(RETRY_MAX, Math.max(RETRY_MIN, Math.round(1.5 * smoothedUs + 4 * variationUs) + 10 * MILLISECOND));
  }

  #armRetry(): void {
    this.#timers.arm(this.#retryTimer, this.#clock.now() + this.#retryAfter);
  }

  #retry(): void {
    const now = this.#clock.now();
    const patience = this.#retryAfter;
    for (const [origin, flight] of this.#inFlight) {
      if (this.#database.get(origin) === undefined) {
        this.#inFlight.delete(origin);
        continue;
      }
      const patient = this.#signedSelf !== null && flight.tries >= PATIENT_TRIES;
      const wait = patient ? PATIENT_RETRY : Math.min(RETRY_MAX, patience * (1 << Math.min(flight.tries, 4)));
      if (now - flight.sentAt < wait) continue;
      flight.sequence = this.#database.sequence(origin);
      flight.sentAt = now;
      flight.tries += 1;
      this.resent += 1;
      this.#send(origin);
    }
    // Flights that have become patient make room.
    if (this.#signedSelf !== null && this.#pending.size > 0) this.#pump();
    if (this.#inFlight.size > 0) this.#armRetry();
  }

  #sendDigest(): void {
    const versions = [...this.#database.records()].map(({ advertisement }) => advertisement);
    let next = 0;
    do {
      const part = versions.slice(next, next + DIGEST_ENTRIES_MAX);
      next += part.length;
      if (!this.#sendVersions(part, next === versions.length ? DIGEST_LAST : 0)) return;
    } while (next < versions.length);
  }

  /** One digest frame; false when the link has no room. */
  #sendVersions(versions: readonly { readonly origin: NodeId; readonly sequence: number }[], flags: number): boolean {
    const start = this.link.control(FRAME_DIGEST, DIGEST_HEAD_BYTES + versions.length * VERSION_ENTRY_BYTES + CONTROL_CHECK_BYTES);
    if (start < 0) return false;
    const { buffer } = this.link.channel!;
    buffer[start] = flags;
    let at = start + DIGEST_HEAD_BYTES;
    for (const { origin, sequence } of versions) at = putVersionEntry(buffer, at, origin, sequence);
    putControlCheck(buffer, start, at);
    return true;
  }
}
