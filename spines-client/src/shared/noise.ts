/**
 * The Noise IK handshake (Noise Protocol Framework, revision 34): Noise_IK_25519_ChaChaPoly_SHA256,
 * and with a pre-shared key Noise_IKpsk2_25519_ChaChaPoly_SHA256.
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss
 *     <- e, ee, se          and psk
 *
 * Owns the symmetric state and the two messages; the primitives are passed in, so that daemons and
 * client programs share one handshake over whatever is fastest where they run. One object is one
 * side of one handshake. A message that does not fit gives null, never an exception, and leaves the
 * object unusable.
 */

export interface NoisePrimitives {
  /** 32 bytes over the parts one behind the other. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  /** 32 bytes; RFC 2104. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /**
   * ChaCha20-Poly1305 (RFC 8439) with the nonce of Noise 12.3: four zero bytes and `number` as u64,
   * little endian.
   */
  encrypt(key: Uint8Array, number: number, associated: Uint8Array, plain: Uint8Array): Uint8Array;
  /** Null when the tag is wrong. */
  decrypt(
    key: Uint8Array,
    number: number,
    associated: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | null;
  /** The public key of 32 secret bytes (RFC 7748). */
  x25519PublicKey(secret: Uint8Array): Uint8Array;
  /** 32 bytes, or null when the result is all zero (RFC 7748, 6.1). */
  x25519(secret: Uint8Array, peer: Uint8Array): Uint8Array | null;
}

export interface NoiseKeyPair {
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Keys of the transport that a finished handshake agrees on, 32 bytes each. */
export interface NoiseTransport {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  /** Identifies this handshake, 32 bytes (Noise 11.2). */
  readonly hash: Uint8Array;
}

const PROTOCOL = 'Noise_IK_25519_ChaChaPoly_SHA256',
  PROTOCOL_PSK = 'Noise_IKpsk2_25519_ChaChaPoly_SHA256';
const KEY = 32,
  TAG = 16;
const EMPTY = new Uint8Array(0);
/** Bytes of a message over its payload. */
export const NOISE_INIT_OVERHEAD = KEY + KEY + TAG + TAG;
export const NOISE_RESPONSE_OVERHEAD = KEY + TAG;

class NoiseIk {
  protected readonly p: NoisePrimitives;
  protected chainingKey: Uint8Array;
  protected hash: Uint8Array;
  readonly #psk: boolean;
  #key: Uint8Array = EMPTY;
  #number = 0;

  constructor(
    primitives: NoisePrimitives,
    prologue: Uint8Array,
    responderStatic: Uint8Array,
    psk: boolean,
  ) {
    this.p = primitives;
    this.#psk = psk;
    // A name of 32 bytes is the first hash itself, a longer one is hashed (Noise 5.2).
    this.hash = psk ? primitives.sha256(asciiOf(PROTOCOL_PSK)) : asciiOf(PROTOCOL);
    this.chainingKey = this.hash;
    this.mixHash(prologue);
    this.mixHash(responderStatic);
  }

  protected mixHash(data: Uint8Array): void {
    this.hash = this.p.sha256(this.hash, data);
  }

  /** An ephemeral public key; with pre-shared keys it goes into the chain as well (Noise 9.2). */
  protected mixEphemeral(publicKey: Uint8Array): void {
    this.mixHash(publicKey);
    if (this.#psk) [this.chainingKey, this.#key] = this.#hkdf(publicKey);
    this.#number = 0;
  }

  /** MixKeyAndHash (Noise 5.2). */
  protected mixPsk(psk: Uint8Array): void {
    const secret = this.p.hmacSha256(this.chainingKey, psk);
    this.chainingKey = this.p.hmacSha256(secret, ONE);
    const hash = this.p.hmacSha256(secret, this.chainingKey, TWO);
    this.mixHash(hash);
    this.#key = this.p.hmacSha256(secret, hash, THREE);
    this.#number = 0;
  }

  /** False when the peer's public key makes the secret known to all. */
  protected mixExchange(secret: Uint8Array, peer: Uint8Array): boolean {
    const shared = this.p.x25519(secret, peer);
    if (shared === null) return false;
    const [chainingKey, key] = this.#hkdf(shared);
    this.chainingKey = chainingKey;
    this.#key = key;
    this.#number = 0;
    return true;
  }

  protected encryptAndHash(plain: Uint8Array): Uint8Array {
    const sealed = this.p.encrypt(this.#key, this.#number, this.hash, plain);
    this.#number += 1;
    this.mixHash(sealed);
    return sealed;
  }

  protected decryptAndHash(sealed: Uint8Array): Uint8Array | null {
    const plain = this.p.decrypt(this.#key, this.#number, this.hash, sealed);
    if (plain === null) return null;
    this.#number += 1;
    this.mixHash(sealed);
    return plain;
  }

  protected split(initiator: boolean): NoiseTransport {
    const [first, second] = this.#hkdf(EMPTY);
    return {
      send: initiator ? first : second,
      receive: initiator ? second : first,
      hash: this.hash,
    };
  }

  #hkdf(input: Uint8Array): [Uint8Array, Uint8Array] {
    const secret = this.p.hmacSha256(this.chainingKey, input);
    const first = this.p.hmacSha256(secret, ONE);
    return [first, this.p.hmacSha256(secret, first, TWO)];
  }
}

const ONE = Uint8Array.of(1),
  TWO = Uint8Array.of(2),
  THREE = Uint8Array.of(3);

function asciiOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

export class NoiseInitiator extends NoiseIk {
  readonly #own: NoiseKeyPair;
  readonly #ephemeral: NoiseKeyPair;
  readonly #peer: Uint8Array;

  /**
   * `ephemeral`: a fresh pair for this handshake alone. `peer`: the responder's static public key.
   * `psk`: with a pre-shared key.
   */
  constructor(
    primitives: NoisePrimitives,
    prologue: Uint8Array,
    own: NoiseKeyPair,
    ephemeral: NoiseKeyPair,
    peer: Uint8Array,
    psk = false,
  ) {
    super(primitives, prologue, peer, psk);
    this.#own = own;
    this.#ephemeral = ephemeral;
    this.#peer = peer;
  }

  /** e, es, s, ss and the payload. Null when the responder's static key is of low order. */
  writeInit(payload: Uint8Array): Uint8Array | null {
    this.mixEphemeral(this.#ephemeral.publicKey);
    if (!this.mixExchange(this.#ephemeral.secret, this.#peer)) return null;
    const sealedStatic = this.encryptAndHash(this.#own.publicKey);
    if (!this.mixExchange(this.#own.secret, this.#peer)) return null;
    return joined(this.#ephemeral.publicKey, sealedStatic, this.encryptAndHash(payload));
  }

  /** e, ee, se, psk where there is one, and the payload. */
  readResponse(
    message: Uint8Array,
    psk: Uint8Array | null = null,
  ): { readonly payload: Uint8Array; readonly transport: NoiseTransport } | null {
    if (message.length < NOISE_RESPONSE_OVERHEAD) return null;
    const ephemeral = message.subarray(0, KEY);
    this.mixEphemeral(ephemeral);
    if (
      !this.mixExchange(this.#ephemeral.secret, ephemeral) ||
      !this.mixExchange(this.#own.secret, ephemeral)
    )
      return null;
    if (psk !== null) this.mixPsk(psk);
    const payload = this.decryptAndHash(message.subarray(KEY));
    return payload === null ? null : { payload, transport: this.split(true) };
  }
}

export class NoiseResponder extends NoiseIk {
  readonly #own: NoiseKeyPair;
  #peerStatic: Uint8Array = EMPTY;
  #peerEphemeral: Uint8Array = EMPTY;

  constructor(primitives: NoisePrimitives, prologue: Uint8Array, own: NoiseKeyPair, psk = false) {
    super(primitives, prologue, own.publicKey, psk);
    this.#own = own;
  }

  /** The initiator's static public key, once an INIT was read. */
  get peerStatic(): Uint8Array {
    return this.#peerStatic;
  }

  /** The payload, or null. */
  readInit(message: Uint8Array): Uint8Array | null {
    if (message.length < NOISE_INIT_OVERHEAD) return null;
    // A copy, whatever kind of array it is: the message's bytes are the caller's again after the
    // call.
    this.#peerEphemeral = Uint8Array.from(message.subarray(0, KEY));
    this.mixEphemeral(this.#peerEphemeral);
    if (!this.mixExchange(this.#own.secret, this.#peerEphemeral)) return null;
    const peerStatic = this.decryptAndHash(message.subarray(KEY, KEY + KEY + TAG));
    if (peerStatic === null || !this.mixExchange(this.#own.secret, peerStatic)) return null;
    this.#peerStatic = peerStatic;
    return this.decryptAndHash(message.subarray(KEY + KEY + TAG));
  }

  /**
   * `ephemeral`: a fresh pair for this handshake alone. Null when the initiator's keys are of low
   * order.
   */
  writeResponse(
    ephemeral: NoiseKeyPair,
    payload: Uint8Array,
    psk: Uint8Array | null = null,
  ): { readonly message: Uint8Array; readonly transport: NoiseTransport } | null {
    this.mixEphemeral(ephemeral.publicKey);
    if (
      !this.mixExchange(ephemeral.secret, this.#peerEphemeral) ||
      !this.mixExchange(ephemeral.secret, this.#peerStatic)
    )
      return null;
    if (psk !== null) this.mixPsk(psk);
    const sealed = this.encryptAndHash(payload);
    return { message: joined(ephemeral.publicKey, sealed), transport: this.split(false) };
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
