/**
 * A network's authority and the daemons that it admits, as routers meet them: memberships with a
 * wall clock that tests set.
 */

import { Rng } from '../../../../src/core/base/rng.ts';
import { SECOND, type Clock, type Micros } from '../../../../src/core/base/time.ts';
import {
  issueCertificate,
  issueRevocations,
  makeAuthority,
  makeRequest,
  Trust,
  type Validity,
} from '../../../../src/core/crypto/certificates.ts';
import {
  makeExchangeKeys,
  makeSigningKeys,
  type KeyPair,
} from '../../../../src/core/crypto/keys.ts';
import { Membership, type Identity } from '../../../../src/core/crypto/membership.ts';
import { noblePrimitives } from '../../../../src/core/crypto/noble-primitives.ts';
import type { Primitives } from '../../../../src/core/crypto/primitives.ts';
import {
  ROLE_ROUTER,
  type Authority,
  type RevocationList,
} from '../../../../src/core/wire/certificate.ts';

/** When these networks live, seconds since 1970. */
export const TEST_NOW_S = 1_800_000_000;
/** What is valid unless a test says otherwise: a year on both sides of TEST_NOW_S. */
const VALIDITY: Validity = {
  notBeforeS: TEST_NOW_S - 31_536_000,
  notAfterS: TEST_NOW_S + 31_536_000,
};

/** A wall clock that shows TEST_NOW_S at time 0 of `clock`, and can be set. */
export class WallClock implements Clock {
  readonly #clock: Clock;
  /** How far it is off. */
  wrongBy: Micros = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): Micros {
    return TEST_NOW_S * SECOND + this.#clock.now() + this.wrongBy;
  }
}

/** Issues for one network. */
export class TestAuthority {
  readonly random: Rng;
  readonly authority: Authority;
  readonly #keys: KeyPair;
  #last: RevocationList | null = null;

  /** `of`: another authority of the same network; null founds one. */
  constructor(name: string, seed: number, of: TestAuthority | null = null) {
    this.random = new Rng(seed).fork(name);
    this.#keys = makeSigningKeys(this.random);
    this.authority = makeAuthority(name, this.#keys, VALIDITY, of?.authority.network ?? null);
  }

  issue(
    node: number,
    name: string,
    options: { validity?: Validity; roles?: number } = {},
  ): Identity {
    const signing = makeSigningKeys(this.random);
    const exchange = makeExchangeKeys(this.random);
    const request = makeRequest(name, node, signing, exchange.publicKey);
    const certificate = issueCertificate(
      request,
      options.roles ?? ROLE_ROUTER,
      options.validity ?? VALIDITY,
      this.authority,
      this.#keys.secret,
      this.random,
    );
    return { certificate, signing, exchange };
  }

  /** A list that revokes these on top of all before. */
  revoke(...identities: readonly Identity[]): RevocationList {
    const serials = [
      ...(this.#last?.serials ?? []),
      ...identities.map(({ certificate }) => certificate.serial),
    ];
    this.#last = issueRevocations(
      serials,
      this.#last,
      TEST_NOW_S,
      this.authority,
      this.#keys.secret,
    );
    return this.#last;
  }

  /** A trust in this authority and `others`. */
  trust(...others: readonly TestAuthority[]): Trust {
    return new Trust([this.authority, ...others.map(({ authority }) => authority)]);
  }

  /** A daemon that is `identity` and trusts this authority and `others`. */
  member(
    identity: Identity,
    wallClock: Clock,
    primitives: Primitives = noblePrimitives,
    others: readonly TestAuthority[] = [],
  ): Membership {
    return new Membership(
      primitives,
      { identity, previous: [], trust: this.trust(...others) },
      wallClock,
      this.random,
    );
  }
}
