/**
 * Keeping what one neighbour holds of something that is flooded equal to ours.
 *
 * For every key (the origin of an advertisement; origin, kind and page of another record) we
 * remember the newest sequence number the neighbour is known to have (it sent, acknowledged or
 * listed it). What we hold newer than that is sent, a bounded number at a time, and again until it
 * is acknowledged; what is newer under the same key simply replaces the older one, so what waits is
 * bounded by the number of keys. When the link comes up both sides list what they have, and only
 * the difference is sent.
 *
 * In a network with identities a neighbour may have reasons not to take something yet, and one that
 * lies must harm nobody but itself: what stays unacknowledged is sent more and more rarely and
 * holds nothing else up, and a digest may say that the neighbour has less than we thought. What is
 * signed names a certificate, which goes in front of it unless the neighbour has it
 * (certificate-exchange.ts).
 */

import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import {
  CONTROL_CHECK_BYTES,
  DIGEST_HEAD_BYTES,
  DIGEST_LAST,
  putControlCheck,
} from '../wire/link-state.ts';
import { FRAME_BODY_BYTES_MAX } from '../wire/sizes.ts';
import type { CertificatePeer } from './certificate-exchange.ts';
import type { RoutedLink } from './routed-link.ts';

/** What is flooded, as FloodingPeer sees it: versions under keys, and how they are written. */
export interface Flooded {
  readonly frames: { readonly item: number; readonly ack: number; readonly digest: number };
  readonly entry: {
    readonly bytes: number;
    put(b: Uint8Array, at: number, key: number, sequence: number): number;
    key(b: Uint8Array, at: number): number;
    sequence(b: Uint8Array, at: number): number;
  };
  /** Of everything held. */
  keys(): Iterable<number>;
  /** Sequence number held under `key`, -1 for none. */
  sequence(key: number): number;
  /** Bytes of the frame's body, without the check, of what is held under `key`. */
  bodyBytes(key: number): number;
  /** Writes that body at `at`; returns the offset behind it. */
  putBody(key: number, now: Micros, b: Uint8Array, at: number): number;
  /** The certificate that it names; null where nothing is signed. */
  certificateOf(key: number): Certificate | null;
  /** In a network with identities: it is ours. */
  isOwn(key: number): boolean;
}

/**
 * News wait this long for company: one datagram carries a burst of changes. Costs this much per hop
 * when alone.
 */
const BATCH_TIME: Micros = 1 * MILLISECOND;
/** Acknowledgements wait at most this long for a datagram to share. */
const ACK_TIME: Micros = 5 * MILLISECOND;
/** Advertisements sent and not yet acknowledged. */
const IN_FLIGHT_MAX = 64;
const ACKS_PER_FRAME_MAX = 100;
const RETRY_MIN: Micros = 40 * MILLISECOND;
const RETRY_MAX: Micros = 1_000 * MILLISECOND;
/**
 * In a network with identities: after so many tries without an answer the next come at this
 * interval.
 */
const PATIENT_TRIES = 12;
const PATIENT_RETRY: Micros = 10_000 * MILLISECOND;

interface InFlight {
  sequence: number;
  sentAt: Micros;
  tries: number;
}

export class FloodingPeer {
  readonly link: RoutedLink;
  readonly #flooded: Flooded;
  readonly #clock: Clock;
  readonly #timers: Timers;
  /** Null in a network without identities. */
  readonly #certificates: CertificatePeer | null;
  readonly #digestEntriesMax: number;
  /** Newest sequence the neighbour is known to have. Bounded by what may be held. */
  readonly #known = new Map<number, number>();
  /** Keys to send, oldest first. */
  readonly #pending = new Set<number>();
  readonly #inFlight = new Map<number, InFlight>();
  readonly #acks: { key: number; sequence: number }[] = [];
  readonly #retryTimer = new Timer(() => this.#retry());
  readonly #batchTimer = new Timer(() => this.#pump());
  readonly #ackTimer = new Timer(() => this.#flushAcks());
  /**
   * Until the neighbour's digest is in, or this timer fires, nothing is sent but digests and news.
   */
  readonly #digestTimer = new Timer(() => this.#startSending());
  #waitingForDigest = true;
  sent = 0;
  resent = 0;

  /** `certificates`: null in a network without identities. */
  constructor(
    link: RoutedLink,
    flooded: Flooded,
    clock: Clock,
    timers: Timers,
    certificates: CertificatePeer | null,
  ) {
    this.link = link;
    this.#flooded = flooded;
    this.#clock = clock;
    this.#timers = timers;
    this.#certificates = certificates;
    this.#digestEntriesMax = Math.floor(
      (FRAME_BODY_BYTES_MAX - DIGEST_HEAD_BYTES - CONTROL_CHECK_BYTES) / flooded.entry.bytes,
    );
  }

  /** The link came up: list what we have. */
  start(): void {
    const patience = Math.max(100 * MILLISECOND, Math.round(3 * this.link.liveness.rtt.smoothedUs));
    this.#timers.arm(this.#digestTimer, this.#clock.now() + patience);
    for (const key of this.#flooded.keys()) this.#pending.add(key);
    this.#sendDigest();
  }

  /** The same where we have nothing: an empty list is not sent. */
  startEmpty(): void {
    this.#waitingForDigest = false;
  }

  /** The link went down. */
  stop(): void {
    this.#timers.cancel(this.#retryTimer);
    this.#timers.cancel(this.#digestTimer);
    this.#timers.cancel(this.#batchTimer);
    this.#timers.cancel(this.#ackTimer);
  }

  /**
   * The neighbour has this, because it just sent it. `known`: what of it to remember, when that is
   * less.
   */
  onReceived(key: number, sequence: number, known = sequence): void {
    this.#learn(key, known);
    this.acknowledge(key, sequence);
  }

  /** Stops the neighbour from sending this again, also when there is no room to remember it. */
  acknowledge(key: number, sequence: number): void {
    this.#acks.push({ key, sequence });
    if (this.#acks.length >= ACKS_PER_FRAME_MAX) this.#flushAcks();
    else if (!this.#ackTimer.armed) this.#timers.arm(this.#ackTimer, this.#clock.now() + ACK_TIME);
  }

  /** There is something newer under `key`. */
  onNewer(key: number): void {
    if (this.#flooded.sequence(key) <= (this.#known.get(key) ?? -1)) return;
    this.#pending.add(key);
    this.#inFlight.delete(key);
    if (!this.#batchTimer.armed) this.#timers.arm(this.#batchTimer, this.#clock.now() + BATCH_TIME);
  }

  /**
   * The neighbour believes an older version than ours: whatever we thought it had, it needs ours.
   */
  onOlder(key: number, sequence: number): void {
    this.#known.set(key, sequence);
    this.#certificates?.forget(key);
    this.onNewer(key);
  }

  /** Sends now what waits for company: nothing comes after. */
  sendNow(): void {
    this.#waitingForDigest = false;
    this.#pump();
  }

  onAckFrame(bytes: Uint8Array, start: number, end: number): boolean {
    const { entry } = this.#flooded;
    if ((end - start) % entry.bytes !== 0 || end === start) return false;
    for (let at = start; at < end; at += entry.bytes) {
      const key = entry.key(bytes, at);
      const sequence = entry.sequence(bytes, at);
      const flight = this.#inFlight.get(key);
      if (flight === undefined || sequence > flight.sequence) continue;
      // What was taken was taken under the certificate that it names.
      if (sequence === this.#flooded.sequence(key))
        this.#certificates?.onTaken(key, this.#flooded.certificateOf(key));
      this.#learn(key, sequence);
    }
    this.#pump();
    return true;
  }

  /** Returns false when malformed; calls `onEntry` for every version the neighbour lists. */
  onDigestFrame(
    bytes: Uint8Array,
    start: number,
    end: number,
    onEntry: (key: number, sequence: number) => void,
  ): boolean {
    const { entry } = this.#flooded;
    const entries = end - start - DIGEST_HEAD_BYTES;
    if (entries < 0 || entries % entry.bytes !== 0 || (bytes[start]! & ~DIGEST_LAST) !== 0)
      return false;
    for (let at = start + DIGEST_HEAD_BYTES; at < end; at += entry.bytes) {
      const key = entry.key(bytes, at);
      const sequence = entry.sequence(bytes, at);
      // What the neighbour claims beyond our own knowledge is no reason to remember a key.
      if (this.#flooded.sequence(key) >= 0) this.#learnListed(key, sequence);
      onEntry(key, sequence);
    }
    if ((bytes[start]! & DIGEST_LAST) !== 0) this.#startSending();
    return true;
  }

  #learnListed(key: number, sequence: number): void {
    const held = this.#flooded.sequence(key);
    if (this.#certificates !== null) {
      // Whoever has a later number of ours shows it to us, signed, once it gets ours; a mere claim
      // must not keep us silent.
      if (sequence > held && this.#flooded.isOwn(key)) return;
      if (sequence < held) {
        this.onOlder(key, sequence);
        return;
      }
    }
    if (sequence === held) this.#certificates?.onTaken(key, this.#flooded.certificateOf(key));
    this.#learn(key, Math.min(sequence, held));
  }

  /**
   * Tells the neighbour that we have no more than this of these keys, so that it sends what it has.
   */
  sendLost(keys: readonly number[], sequence = 0): void {
    const most = this.#digestEntriesMax;
    for (let next = 0; next < keys.length; next += most) {
      if (!this.#sendVersions(keys.slice(next, next + most), () => sequence, 0)) return;
    }
  }

  #flushAcks(): void {
    const acks = this.#acks;
    this.#timers.cancel(this.#ackTimer);
    if (acks.length === 0) return;
    const { frames, entry } = this.#flooded;
    const start = this.link.control(frames.ack, acks.length * entry.bytes + CONTROL_CHECK_BYTES);
    if (start >= 0) {
      const { buffer } = this.link.channel!;
      let at = start;
      for (const ack of acks) at = entry.put(buffer, at, ack.key, ack.sequence);
      putControlCheck(buffer, start, at);
    }
    acks.length = 0;
  }

  /** Nothing is held under `key` any more. */
  forget(key: number): void {
    this.#known.delete(key);
    this.#pending.delete(key);
    this.#inFlight.delete(key);
    this.#certificates?.forget(key);
  }

  #learn(key: number, sequence: number): void {
    if (sequence > (this.#known.get(key) ?? -1)) this.#known.set(key, sequence);
    const flight = this.#inFlight.get(key);
    if (flight !== undefined && sequence >= flight.sequence) this.#inFlight.delete(key);
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
    for (const key of this.#pending) {
      if (waitFor >= IN_FLIGHT_MAX) break;
      this.#pending.delete(key);
      const sequence = this.#flooded.sequence(key);
      if (sequence <= (this.#known.get(key) ?? -1)) continue;
      this.#inFlight.set(key, { sequence, sentAt: this.#clock.now(), tries: 0 });
      waitFor += 1;
      this.#send(key);
      this.sent += 1;
    }
    if (this.#inFlight.size > 0 && !this.#retryTimer.armed) this.#armRetry();
  }

  #send(key: number): void {
    const flooded = this.#flooded;
    if (flooded.sequence(key) < 0) return;
    this.#certificates?.show(key, flooded.certificateOf(key), this.#clock.now());
    const at = this.link.control(flooded.frames.item, flooded.bodyBytes(key) + CONTROL_CHECK_BYTES);
    if (at < 0) return;
    const { buffer } = this.link.channel!;
    putControlCheck(buffer, at, flooded.putBody(key, this.#clock.now(), buffer, at));
  }

  /**
   * Flights that count against IN_FLIGHT_MAX: not those that the neighbour leaves unanswered for
   * long.
   */
  get #briskFlights(): number {
    if (this.#certificates === null || this.#inFlight.size < IN_FLIGHT_MAX)
      return this.#inFlight.size;
    let count = 0;
    for (const flight of this.#inFlight.values()) if (flight.tries < PATIENT_TRIES) count += 1;
    return count;
  }

  get #retryAfter(): Micros {
    const { smoothedUs, variationUs } = this.link.liveness.rtt;
    return Math.min(
      RETRY_MAX,
      Math.max(RETRY_MIN, Math.round(1.5 * smoothedUs + 4 * variationUs) + 10 * MILLISECOND),
    );
  }

  #armRetry(): void {
    this.#timers.arm(this.#retryTimer, this.#clock.now() + this.#retryAfter);
  }

  #retry(): void {
    const now = this.#clock.now();
    const patience = this.#retryAfter;
    for (const [key, flight] of this.#inFlight) {
      if (this.#flooded.sequence(key) < 0) {
        this.#inFlight.delete(key);
        continue;
      }
      const patient = this.#certificates !== null && flight.tries >= PATIENT_TRIES;
      const wait = patient
        ? PATIENT_RETRY
        : Math.min(RETRY_MAX, patience * (1 << Math.min(flight.tries, 4)));
      if (now - flight.sentAt < wait) continue;
      flight.sequence = this.#flooded.sequence(key);
      flight.sentAt = now;
      flight.tries += 1;
      this.resent += 1;
      this.#send(key);
    }
    // Flights that have become patient make room.
    if (this.#certificates !== null && this.#pending.size > 0) this.#pump();
    if (this.#inFlight.size > 0) this.#armRetry();
  }

  #sendDigest(): void {
    const keys = [...this.#flooded.keys()];
    let next = 0;
    do {
      const part = keys.slice(next, next + this.#digestEntriesMax);
      next += part.length;
      if (
        !this.#sendVersions(
          part,
          (key) => this.#flooded.sequence(key),
          next === keys.length ? DIGEST_LAST : 0,
        )
      )
        return;
    } while (next < keys.length);
  }

  /** One digest frame; false when the link has no room. */
  #sendVersions(
    keys: readonly number[],
    sequenceOf: (key: number) => number,
    flags: number,
  ): boolean {
    const { frames, entry } = this.#flooded;
    const start = this.link.control(
      frames.digest,
      DIGEST_HEAD_BYTES + keys.length * entry.bytes + CONTROL_CHECK_BYTES,
    );
    if (start < 0) return false;
    const { buffer } = this.link.channel!;
    buffer[start] = flags;
    let at = start + DIGEST_HEAD_BYTES;
    for (const key of keys) at = entry.put(buffer, at, key, sequenceOf(key));
    putControlCheck(buffer, start, at);
    return true;
  }
}
