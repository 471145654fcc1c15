/**
 * One daemon's place in a closed network: who it is, whom it trusts, and what it thinks of
 * certificates it meets.
 *
 * Owns the identity (and earlier ones that others may still know), the trust in authorities and the
 * cache of certificates whose signature was verified. Handshakes, routing and the door for remote
 * clients ask it; a reload replaces what it holds, and whoever must act on that is told. Time is
 * the wall clock's, passed in.
 */

import { hex } from '../base/bytes.ts';
import type { SecureRandom } from '../base/rng.ts';
import { SECOND, type Clock } from '../base/time.ts';
import {
  decodeCertificate,
  serialAt,
  type Certificate,
  type RevocationList,
} from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import type { CertificateVerdict, RevocationVerdict, Trust } from './certificates.ts';
import type { KeyPair } from './keys.ts';
import { NO_PRESHARED_KEY, type PresharedKey } from './preshared.ts';
import type { Primitives } from './primitives.ts';

/** A certificate and the secret keys that belong to it. */
export interface Identity {
  readonly certificate: Certificate;
  readonly signing: KeyPair;
  readonly exchange: KeyPair;
}

/** What a daemon reads from its files. */
export interface Credentials {
  readonly identity: Identity;
  /** Earlier identities that still answer those who know no newer key; at most PREVIOUS_MAX. */
  readonly previous: readonly Identity[];
  readonly trust: Trust;
  /**
   * The network's, PRESHARED_MAX at most, in the order in which this daemon likes them; default: no
   * key.
   */
  readonly preshared?: readonly PresharedKey[];
}

export const PREVIOUS_MAX = 2;
/** Certificates whose signature is remembered as verified. */
const CACHE_MAX = 8_192;

const REASONS: Record<CertificateVerdict, DropReason> = {
  ok: DropReason.none,
  'wrong-network': DropReason.certificateWrongNetwork,
  'unknown-authority': DropReason.certificateUnknownAuthority,
  'bad-signature': DropReason.certificateForged,
  'authority-not-valid': DropReason.certificateAuthorityNotValid,
  'not-yet-valid': DropReason.certificateNotYetValid,
  expired: DropReason.certificateExpired,
  revoked: DropReason.certificateRevoked,
};

const ONE_THAT_IS_NONE: readonly PresharedKey[] = [NO_PRESHARED_KEY];

export class Membership {
  readonly primitives: Primitives;
  readonly random: SecureRandom;
  readonly #wallClock: Clock;
  /** By serial, oldest first. */
  readonly #verified = new Map<string, Certificate>();
  /** The same by the hash that signed statements name it by, in hexadecimal. */
  readonly #byHash = new Map<string, Certificate>();
  readonly #hashes = new WeakMap<Certificate, Uint8Array>();
  /** When certificates are valid that were found so, until something else than time changes. */
  #good = new WeakMap<Certificate, { readonly fromS: number; readonly untilS: number }>();
  readonly #listeners: (() => void)[] = [];
  #credentials: Credentials;
  #revocationsListener: (list: RevocationList) => void = () => {};

  /** `wallClock`: microseconds since 1970. */
  constructor(
    primitives: Primitives,
    credentials: Credentials,
    wallClock: Clock,
    random: SecureRandom,
  ) {
    this.primitives = primitives;
    this.random = random;
    this.#credentials = credentials;
    this.#wallClock = wallClock;
  }

  get identity(): Identity {
    return this.#credentials.identity;
  }

  get previous(): readonly Identity[] {
    return this.#credentials.previous;
  }

  /** Another list when it has changed. */
  get preshared(): readonly PresharedKey[] {
    return this.#credentials.preshared ?? ONE_THAT_IS_NONE;
  }

  get trust(): Trust {
    return this.#credentials.trust;
  }

  /** Microseconds since 1970. */
  get wallUs(): number {
    return this.#wallClock.now();
  }

  /** Seconds since 1970. */
  get nowS(): number {
    return Math.floor(this.#wallClock.now() / SECOND);
  }

  /**
   * The certificate in `b[start..end)` if it is valid here and now and has one of `roles`; else why
   * not.
   */
  admit(b: Uint8Array, start: number, end: number, roles: number): Certificate | DropReason {
    const known = this.#known(b, start, end);
    if (known !== null) {
      const reason = this.recheck(known);
      if (reason !== DropReason.none) return reason;
      return (known.roles & roles) === 0 ? DropReason.certificateRole : known;
    }
    const certificate = decodeCertificate(b, start, end);
    if (typeof certificate === 'string') return DropReason.certificateMalformed;
    const verdict = this.trust.judge(certificate, this.nowS);
    if (verdict !== 'ok') return REASONS[verdict];
    this.#remember(certificate);
    return (certificate.roles & roles) === 0 ? DropReason.certificateRole : certificate;
  }

  /** Whether `admit` would know these bytes without verifying a signature. */
  knows(bytes: Uint8Array): boolean {
    return this.#known(bytes, 0, bytes.length) !== null;
  }

  /** What signed statements call `certificate`: SHA-256 of its bytes. */
  hashOf(certificate: Certificate): Uint8Array {
    let hash = this.#hashes.get(certificate);
    if (hash === undefined)
      this.#hashes.set(certificate, (hash = this.primitives.sha256(certificate.bytes)));
    return hash;
  }

  /**
   * The certificate of that name whose signature was verified, valid now or not; null: not known.
   */
  byHash(hash: Uint8Array): Certificate | null {
    return this.#byHash.get(hex(hash)) ?? null;
  }

  /**
   * What time, revocation or a reload has made of an admitted certificate. Cheap while nothing has:
   * it is asked often.
   */
  recheck(certificate: Certificate): DropReason {
    const { nowS } = this;
    const good = this.#good.get(certificate);
    if (good !== undefined && nowS >= good.fromS && nowS < good.untilS) return DropReason.none;
    const verdict = this.trust.judgeAgain(certificate, nowS);
    const authority = this.trust.authorityOf(certificate);
    if (verdict === 'ok' && authority !== undefined) {
      this.#good.set(certificate, {
        fromS: Math.max(certificate.notBeforeS, authority.notBeforeS),
        untilS: Math.min(certificate.notAfterS, authority.notAfterS),
      });
    }
    return REASONS[verdict];
  }

  #known(b: Uint8Array, start: number, end: number): Certificate | null {
    const known = this.#verified.get(serialAt(b, start, end));
    return known !== undefined && sameBytes(known.bytes, b, start, end) ? known : null;
  }

  /** Takes a revocation list over if it is authentic and newer; then everybody rechecks. */
  offerRevocations(list: RevocationList): RevocationVerdict {
    const verdict = this.trust.offer(list);
    if (verdict === 'ok') {
      this.#revocationsListener(list);
      this.#announce();
    }
    return verdict;
  }

  /** New credentials after a reload. Revocation lists that came from the network stay in force. */
  replace(credentials: Credentials): void {
    const held = this.trust.revocations;
    this.#credentials = credentials;
    for (const list of held) credentials.trust.offer(list);
    // What an authority signed that is trusted no longer must be judged anew.
    this.#verified.clear();
    this.#byHash.clear();
    this.#announce();
  }

  /** `listener` runs whenever certificates may have become invalid: recheck those in use. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** `listener` gets every new revocation list from the network, e.g. to write it to disk. */
  onRevocations(listener: (list: RevocationList) => void): void {
    this.#revocationsListener = listener;
  }

  #announce(): void {
    this.#good = new WeakMap();
    for (const listener of this.#listeners) listener();
  }

  #remember(certificate: Certificate): void {
    const before = this.#verified.get(certificate.serial);
    if (before !== undefined) this.#forget(before);
    this.#verified.set(certificate.serial, certificate);
    this.#byHash.set(hex(this.hashOf(certificate)), certificate);
    if (this.#verified.size > CACHE_MAX) this.#forget(this.#verified.values().next().value!);
  }

  #forget(certificate: Certificate): void {
    this.#verified.delete(certificate.serial);
    this.#byHash.delete(hex(this.hashOf(certificate)));
  }
}

function sameBytes(bytes: Uint8Array, b: Uint8Array, start: number, end: number): boolean {
  if (end - start !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i += 1) if (bytes[i] !== b[start + i]) return false;
  return true;
}

/** For logs: which certificate is meant. */
export function certificateLabel(certificate: Certificate): string {
  return (
    `${certificate.name} (serial ${certificate.serial}, network ` +
    `${hex(certificate.network).slice(0, 16)})`
  );
}
