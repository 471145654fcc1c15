/**
 * Cookies: under load, whoever calls must show that its address is its own (WireGuard, section
 * 5.4.7).
 *
 * Owns the secret behind them and how many are handed out; what comes without one is
 * sealed-handshaker.ts's business.
 */

import { equalBytes, utf8Encode } from '../base/bytes.ts';
import type { Endpoint } from '../base/datagram.ts';
import { SharedBudget, type SharedBudgetLimits } from '../base/shared-budget.ts';
import type { Clock, Micros } from '../base/time.ts';
import type { Identity, Membership } from '../crypto/membership.ts';
import { DATAGRAM_COOKIE } from '../wire/datagram-header.ts';
import { COOKIE_DATAGRAM_BYTES, COOKIE_SEALED_AT, MAC_BYTES } from '../wire/sealed-handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';
import { CookieSecrets } from './cookie-secrets.ts';
import { equalMacs, NO_MAC, type HandshakeMacs } from './handshake-macs.ts';

const LABEL_COOKIE = utf8Encode('spines cookie');
/**
 * Cookies handed out: some 20 us each. More than half of a flood of 20,000 a second, whatever
 * addresses it names, so that who dials meanwhile at a pace of 250 ms has one within a second and a
 * half, all but for one in a hundred.
 */
export const COOKIE_BUDGET: SharedBudgetLimits = {
  perSecond: 12_000,
  burst: 1_200,
  keptPerSecond: 2_000,
  keptBurst: 400,
  sharePerSecond: 20,
  shareBurst: 20,
  sources: 1_024,
};

export class Cookies {
  readonly #membership: Membership;
  readonly #macs: HandshakeMacs;
  readonly #secrets: CookieSecrets;
  readonly #budget = new SharedBudget(COOKIE_BUDGET);

  constructor(membership: Membership, clock: Clock, macs: HandshakeMacs) {
    this.#membership = membership;
    this.#macs = macs;
    this.#secrets = new CookieSecrets(membership, clock);
  }

  /** Whether `source` may be handed another one. */
  take(source: string, now: Micros): boolean {
    return this.#budget.take(source, now);
  }

  /**
   * Writes the cookie for the INIT in `bytes`, whose MAC is at `end`, to `out`; returns its length.
   */
  write(bytes: Uint8Array, end: number, to: Endpoint, identity: Identity, out: Uint8Array): number {
    out.set(bytes.subarray(0, DATAGRAM_HEADER_BYTES), 0);
    out[0] = DATAGRAM_COOKIE;
    const nonce = this.#secrets.nonce();
    out.set(nonce, DATAGRAM_HEADER_BYTES);
    const mac = bytes.subarray(end, end + MAC_BYTES);
    out.set(
      this.#membership.primitives.encrypt(
        this.#key(identity.exchange.publicKey, nonce),
        0,
        mac,
        this.#secrets.of(to),
      ),
      COOKIE_SEALED_AT,
    );
    return COOKIE_DATAGRAM_BYTES;
  }

  /**
   * The cookie in the datagram `bytes[0..length)` that answers an INIT with that `mac` to whoever
   * has the key `responder`; null when it is none.
   */
  open(
    bytes: Uint8Array,
    length: number,
    responder: Uint8Array,
    mac: Uint8Array,
  ): Uint8Array | null {
    const key = this.#key(responder, bytes.subarray(DATAGRAM_HEADER_BYTES, COOKIE_SEALED_AT));
    return this.#membership.primitives.decrypt(
      key,
      0,
      mac,
      bytes.subarray(COOKIE_SEALED_AT, length),
    );
  }

  /** Whether the INIT in `bytes`, whose MAC is at `end`, shows a cookie given to `from`. */
  fits(bytes: Uint8Array, end: number, from: Endpoint): boolean {
    const at = end + MAC_BYTES;
    const shown = bytes.subarray(at, at + MAC_BYTES);
    if (equalBytes(shown, NO_MAC)) return false;
    const covered = bytes.subarray(0, at);
    return this.#secrets.some(from, (cookie) =>
      equalMacs(shown, this.#macs.keyed(cookie, covered)),
    );
  }

  #key(responder: Uint8Array, nonce: Uint8Array): Uint8Array {
    return this.#membership.primitives.sha256(LABEL_COOKIE, responder, nonce);
  }
}
