/**
 * The certificate authority of a simulated world: a sealed network needs certificates in virtual
 * time too.
 *
 * Owns the authority's keys and issues identities and revocation lists; draws only from the world's
 * seed. The wall clock of a world begins at SIM_EPOCH.
 */

import type { SecureRandom } from '../../core/base/rng.ts';
import { SECOND, type Clock, type Micros } from '../../core/base/time.ts';
import type { NodeId } from '../../core/base/ids.ts';
import {
  issueCertificate,
  issueRevocations,
  makeAuthority,
  makeRequest,
  Trust,
  type Validity,
} from '../../core/crypto/certificates.ts';
import { draw, makeSigningKeys, Secret, type KeyPair } from '../../core/crypto/keys.ts';
import { Membership, type Identity } from '../../core/crypto/membership.ts';
import { NO_PRESHARED_KEY, type PresharedKey } from '../../core/crypto/preshared.ts';
import type { Primitives } from '../../core/crypto/primitives.ts';
import { revocationOf } from '../../core/crypto/revoked.ts';
import {
  ROLE_CLIENT,
  ROLE_ROUTER,
  type Authority,
  type Certificate,
  type RevocationList,
  type RevokedSubject,
} from '../../core/wire/certificate.ts';
import { cheapPrimitives, makeCheapKeys } from './cheap-primitives.ts';

/** Microseconds since 1970 at virtual time 0: 2026-01-01. */
export const SIM_EPOCH: Micros = 1_767_225_600 * SECOND;
const EPOCH_S = SIM_EPOCH / SECOND;
const YEARS_TEN = 3_650 * 86_400;
const LONG: Validity = { notBeforeS: EPOCH_S - 86_400, notAfterS: EPOCH_S + YEARS_TEN };

export class SimAuthority {
  readonly primitives: Primitives;
  readonly authority: Authority;
  readonly #random: SecureRandom;
  readonly #keys: KeyPair;
  #list: RevocationList | null = null;

  /** `network`: of another authority, to be a second one of its network. */
  constructor(primitives: Primitives, random: SecureRandom, network: Uint8Array | null = null) {
    this.primitives = primitives;
    this.#random = random;
    this.#keys = this.#signingKeys();
    this.authority = makeAuthority('simulation', this.#keys, LONG, network, primitives);
  }

  /** Fresh keys and a certificate for them. */
  issue(
    node: NodeId,
    name: string,
    validity: Validity = LONG,
    roles = ROLE_ROUTER | ROLE_CLIENT,
    groups: readonly string[] = [],
  ): Identity {
    const signing = this.#signingKeys();
    const secret = draw(this.#random, 32);
    const exchange: KeyPair = {
      publicKey: this.primitives.x25519PublicKey(secret),
      secret: new Secret(secret),
    };
    return {
      certificate: this.#certify(node, name, signing, exchange, validity, roles, groups),
      signing,
      exchange,
    };
  }

  /** Another certificate for the keys of `identity`. */
  renew(
    { certificate: { node, name, roles, groups: before }, signing, exchange }: Identity,
    validity: Validity = LONG,
    groups = before,
  ): Identity {
    return {
      certificate: this.#certify(node, name, signing, exchange, validity, roles, groups),
      signing,
      exchange,
    };
  }

  /**
   * A list that revokes these certificates, by their serials alone, and all that were revoked
   * before.
   */
  revoke(nowS: number, ...identities: readonly Identity[]): RevocationList {
    return this.#revoke(
      nowS,
      identities.map((identity) => identity.certificate.serial),
      [],
    );
  }

  /** As `spines keys revoke` does: the keys, too, and what the holder got no later. */
  revokeKeys(nowS: number, ...identities: readonly Identity[]): RevocationList {
    return this.#revoke(
      nowS,
      [],
      identities.flatMap((identity) => revocationOf(identity.certificate)),
    );
  }

  /**
   * What a daemon with `identity` and `trusted` authorities (default: this one) knows. `clock`:
   * virtual time of its host.
   */
  member(
    identity: Identity,
    clock: Clock,
    trusted: readonly SimAuthority[] = [this],
    preshared: readonly PresharedKey[] = [NO_PRESHARED_KEY],
  ): Membership {
    return new Membership(
      this.primitives,
      { identity, previous: [], trust: this.trust(trusted), preshared },
      { now: () => SIM_EPOCH + clock.now() },
      this.#random,
    );
  }

  trust(trusted: readonly SimAuthority[] = [this]): Trust {
    return new Trust(
      trusted.map((one) => one.authority),
      this.primitives,
    );
  }

  #revoke(
    nowS: number,
    serials: readonly string[],
    subjects: readonly RevokedSubject[],
  ): RevocationList {
    const before = this.#list;
    this.#list = issueRevocations(
      [...(before?.serials ?? []), ...serials],
      before,
      nowS,
      this.authority,
      this.#keys.secret,
      this.primitives,
      [...(before?.subjects ?? []), ...subjects],
    );
    return this.#list;
  }

  #certify(
    node: NodeId,
    name: string,
    signing: KeyPair,
    exchange: KeyPair,
    validity: Validity,
    roles: number,
    groups: readonly string[],
  ): Certificate {
    const request = makeRequest(name, node, signing, exchange.publicKey, this.primitives);
    return issueCertificate(
      request,
      roles,
      validity,
      this.authority,
      this.#keys.secret,
      this.#random,
      this.primitives,
      groups,
    );
  }

  #signingKeys(): KeyPair {
    return this.primitives === cheapPrimitives
      ? makeCheapKeys(this.#random)
      : makeSigningKeys(this.#random);
  }
}
