/**
 * An authority with daemons and client programs in real time, for tests of the door for remote
 * clients.
 */

import { Rng } from '../../src/core/base/rng.ts';
import { SECOND, type Clock, type Micros } from '../../src/core/base/time.ts';
import {
  issueCertificate,
  issueRevocations,
  makeAuthority,
  makeRequest,
  Trust,
  type Validity,
} from '../../src/core/crypto/certificates.ts';
import { encodeKeyFile } from '../../src/core/crypto/key-file.ts';
import { makeExchangeKeys, makeSigningKeys, type KeyPair } from '../../src/core/crypto/keys.ts';
import { Membership, type Identity } from '../../src/core/crypto/membership.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { armour } from '../../src/core/wire/armour.ts';
import {
  ROLE_ROUTER,
  type Authority,
  type RevocationList,
} from '../../src/core/wire/certificate.ts';

/**
 * When these networks live, seconds since 1970; statements are valid for a year on both sides of
 * it.
 */
export const ISSUED_S = 1_800_000_000;
const YEAR_S = 31_536_000;
const VALIDITY: Validity = { notBeforeS: ISSUED_S - YEAR_S, notAfterS: ISSUED_S + YEAR_S };

/** A wall clock that shows ISSUED_S at time 0 of `clock`, and can be set wrong. */
export class WallClock implements Clock {
  readonly #clock: Clock;
  wrongBy: Micros = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): Micros {
    return ISSUED_S * SECOND + this.#clock.now() + this.wrongBy;
  }
}

export class Issuer {
  readonly random: Rng;
  readonly authority: Authority;
  readonly #keys: KeyPair;
  #last: RevocationList | null = null;

  /** `of`: another authority of the same network. */
  constructor(seed: number, of: Issuer | null = null) {
    this.random = new Rng(seed);
    this.#keys = makeSigningKeys(this.random);
    this.authority = makeAuthority('lab', this.#keys, VALIDITY, of?.authority.network ?? null);
  }

  issue(node: number, name: string, roles = ROLE_ROUTER, validity = VALIDITY): Identity {
    const signing = makeSigningKeys(this.random),
      exchange = makeExchangeKeys(this.random);
    const request = makeRequest(name, node, signing, exchange.publicKey);
    return {
      certificate: issueCertificate(
        request,
        roles,
        validity,
        this.authority,
        this.#keys.secret,
        this.random,
      ),
      signing,
      exchange,
    };
  }

  /** A list that revokes this one beside all before. */
  revoke({ certificate }: Identity): RevocationList {
    this.#last = issueRevocations(
      [...(this.#last?.serials ?? []), certificate.serial],
      this.#last,
      ISSUED_S,
      this.authority,
      this.#keys.secret,
    );
    return this.#last;
  }

  member(identity: Identity, wallClock: Clock): Membership {
    return new Membership(
      nodePrimitives,
      { identity, previous: [], trust: new Trust([this.authority]) },
      wallClock,
      this.random,
    );
  }

  keyText({ certificate, signing, exchange }: Identity, passphrase: string | null = null): string {
    return armour(
      'SPINES PRIVATE KEY',
      encodeKeyFile(
        { name: certificate.name, node: certificate.node, signing, exchange },
        passphrase,
        this.random,
        10,
      ),
    );
  }
}

export function certificateText({ certificate }: Identity): string {
  return armour('SPINES CERTIFICATE', certificate.bytes);
}
