/**
 * What a sealed call keeps from its INIT to the answer: keys, the message, and the cookie that was
 * given for it.
 *
 * Owns values only; made and read by sealed-handshaker.ts.
 */

import type { NoiseKeyPair } from 'spines-client/noise';
import type { Micros } from '../base/time.ts';
import type { Identity } from '../crypto/membership.ts';
import type { PresharedKey } from '../crypto/preshared.ts';
import type { CallSecrets } from './handshaker.ts';

/** What a call keeps from its INIT to the answer. */
export class Secrets implements CallSecrets {
  readonly kind = 'sealed';
  /** The key that the INIT was made for. */
  readonly key: Uint8Array;
  readonly identity: Identity;
  readonly continues: number;
  /** The INIT has the wide form, and a pre-shared key is mixed in. */
  readonly wide: boolean;
  readonly preshared: readonly PresharedKey[];
  readonly ephemeral: NoiseKeyPair;
  readonly payload: Uint8Array;
  readonly message: Uint8Array;
  cookie: Uint8Array | null = null;
  cookieUntil: Micros = 0;
  /** Of the INITs sent last, by their numbers, which the cookie that answers one repeats. */
  macs = new Map<number, Uint8Array>();

  constructor(
    key: Uint8Array,
    identity: Identity,
    continues: number,
    wide: boolean,
    preshared: readonly PresharedKey[],
    ephemeral: NoiseKeyPair,
    payload: Uint8Array,
    message: Uint8Array,
  ) {
    this.wide = wide;
    this.preshared = preshared;
    this.key = key;
    this.identity = identity;
    this.continues = continues;
    this.ephemeral = ephemeral;
    this.payload = payload;
    this.message = message;
  }
}
