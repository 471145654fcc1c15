/**
 * What makes a daemon's cookies: the secret that changes, the one before, and nonces.
 *
 * A cookie is bound to an address and kept by nobody here. The sealed handshaker says who gets one,
 * and seals it.
 */

import { utf8Encode } from '../base/bytes.ts';
import type { Endpoint } from '../base/datagram.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import { COOKIE_BYTES, COOKIE_NONCE_BYTES } from '../wire/sealed-handshake.ts';

/** For so long a secret makes cookies, and for as long again those count. */
export const COOKIE_LIFETIME: Micros = 120 * SECOND;
const SECRET_BYTES = 32;
/** Drawn at once: one by one they take a third of what a cookie does. */
const NONCES_DRAWN = 128;

export class CookieSecrets {
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #nonces = new Uint8Array(NONCES_DRAWN * COOKIE_NONCE_BYTES);
  #noncesAt = NONCES_DRAWN * COOKIE_NONCE_BYTES;
  #secret: Uint8Array;
  #before: Uint8Array;
  #since: Micros;

  constructor(membership: Membership, clock: Clock) {
    this.#membership = membership;
    this.#clock = clock;
    this.#secret = this.#draw();
    this.#before = this.#secret;
    this.#since = clock.now();
  }

  /** The cookie that who calls from there is given. */
  of(to: Endpoint): Uint8Array {
    this.#rotate();
    return this.#cookie(to, this.#secret);
  }

  /** Whether `holds` is true of a cookie that counts for `from`. */
  some(from: Endpoint, holds: (cookie: Uint8Array) => boolean): boolean {
    this.#rotate();
    return [this.#secret, this.#before].some((secret) => holds(this.#cookie(from, secret)));
  }

  /** Unused until now; overwritten some nonces later. */
  nonce(): Uint8Array {
    if (this.#noncesAt === this.#nonces.length) {
      this.#membership.random.fill(this.#nonces);
      this.#noncesAt = 0;
    }
    return this.#nonces.subarray(this.#noncesAt, (this.#noncesAt += COOKIE_NONCE_BYTES));
  }

  #cookie(from: Endpoint, secret: Uint8Array): Uint8Array {
    return this.#membership.primitives
      .hmacSha256(secret, utf8Encode(from.key))
      .subarray(0, COOKIE_BYTES);
  }

  #rotate(): void {
    const now = this.#clock.now(),
      age = now - this.#since;
    if (age < COOKIE_LIFETIME) return;
    this.#before = age < 2 * COOKIE_LIFETIME ? this.#secret : this.#draw();
    this.#secret = this.#draw();
    this.#since = now;
  }

  #draw(): Uint8Array {
    const out = new Uint8Array(SECRET_BYTES);
    this.#membership.random.fill(out);
    return out;
  }
}
