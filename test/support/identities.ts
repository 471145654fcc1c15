/**
 * A network's authority and the identity files of its nodes in a folder, for tests of what reads
 * them.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { SecureRandom } from '../../src/core/base/rng.ts';
import { Rng } from '../../src/core/base/rng.ts';
import {
  issueCertificate,
  issueRevocations,
  makeAuthority,
  makeRequest,
  type Validity,
} from '../../src/core/crypto/certificates.ts';
import { encodeKeyFile } from '../../src/core/crypto/key-file.ts';
import { makeExchangeKeys, makeSigningKeys, type KeyPair } from '../../src/core/crypto/keys.ts';
import { armour } from '../../src/core/wire/armour.ts';
import {
  ROLE_ROUTER,
  type Authority,
  type Certificate,
  type RevocationList,
} from '../../src/core/wire/certificate.ts';

/** The wall clock of these tests, seconds. */
export const NOW_S = 1_000_000;
const ALWAYS: Validity = { notBeforeS: 0, notAfterS: 100 * NOW_S };

export interface Made {
  readonly certificate: Certificate;
  readonly signing: KeyPair;
  readonly exchange: KeyPair;
}

export class TestAuthority {
  readonly authority: Authority;
  readonly random: SecureRandom;
  readonly #keys: KeyPair;

  /** `network`: of another authority, to be its successor. */
  constructor(seed: number, network: Uint8Array | null = null) {
    const rng = new Rng(seed);
    this.random = {
      fill: (out) => {
        for (let i = 0; i < out.length; i += 1) out[i] = rng.below(256);
      },
    };
    this.#keys = makeSigningKeys(this.random);
    this.authority = makeAuthority('lab', this.#keys, ALWAYS, network);
  }

  identity(name: string, node: number, validity: Validity = ALWAYS, roles = ROLE_ROUTER): Made {
    const signing = makeSigningKeys(this.random),
      exchange = makeExchangeKeys(this.random);
    return {
      certificate: this.renew(name, node, signing, exchange, validity, roles),
      signing,
      exchange,
    };
  }

  renew(
    name: string,
    node: number,
    signing: KeyPair,
    exchange: KeyPair,
    validity: Validity = ALWAYS,
    roles = ROLE_ROUTER,
  ): Certificate {
    return issueCertificate(
      makeRequest(name, node, signing, exchange.publicKey),
      roles,
      validity,
      this.authority,
      this.#keys.secret,
      this.random,
    );
  }

  revocations(serials: readonly string[], previous: RevocationList | null = null): RevocationList {
    return issueRevocations(serials, previous, NOW_S, this.authority, this.#keys.secret);
  }

  /** node.key, node.crt and authority.pub in `dir`. */
  write(dir: string, made: Made, passphrase: string | null = null): void {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'node.crt'), armour('SPINES CERTIFICATE', made.certificate.bytes));
    writeFileSync(join(dir, 'authority.pub'), armour('SPINES AUTHORITY', this.authority.bytes));
    writeFileSync(join(dir, 'node.key'), this.keyText(made, passphrase), { mode: 0o600 });
  }

  keyText({ certificate, signing, exchange }: Made, passphrase: string | null = null): string {
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
