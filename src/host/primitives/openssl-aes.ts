/**
 * AES-256-GCM by the OpenSSL that Node itself is linked with, called through the optional package
 * koffi, where the processor has instructions for it: a packet costs a third of what
 * ChaCha20-Poly1305 costs it by libsodium's binding, and a tenth of the same cipher by node:crypto,
 * which makes objects.
 *
 * Buffers are named to OpenSSL by address: those of memory that is an ArrayBuffer's own, which
 * neither moves nor goes while it is held here. Nothing is called for a key before its first
 * packet; the memory that OpenSSL holds for one is wiped and freed when nobody has the sealer any
 * more. `@hot`
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { assert } from '../../core/base/assert.ts';
import type { Sealer } from '../../core/crypto/primitives.ts';
import { NodeAesSealer } from './node-primitives.ts';

type Native = (...args: readonly number[]) => number;

/** What is used of koffi. Addresses are numbers: so nothing is converted, or made, for a call. */
interface Koffi {
  load(path: null): { func(name: string, result: string, parameters: readonly string[]): Native };
  address(bytes: Uint8Array): bigint | number;
}

/** EVP_* of OpenSSL 1.1 and 3 (EVP_EncryptInit(3)). */
interface Evp {
  readonly koffi: Koffi;
  readonly cipher: number;
  readonly make: Native;
  readonly free: Native;
  readonly control: Native;
  readonly sealInit: Native;
  readonly sealUpdate: Native;
  readonly sealFinal: Native;
  readonly openInit: Native;
  readonly openUpdate: Native;
  readonly openFinal: Native;
}

const KEY_BYTES = 32,
  NONCE_BYTES = 12,
  TAG_BYTES = 16;
/** EVP_CTRL_AEAD_GET_TAG and _SET_TAG of evp.h. */
const GET_TAG = 0x10,
  SET_TAG = 0x11;
const POINTER = 'uintptr_t';

/**
 * Makes sealers; null where there is no koffi, no such OpenSSL, or no instructions, or where its
 * bytes are not node:crypto's.
 */
export function findFastAes(): ((key: Uint8Array) => Sealer) | null {
  try {
    if (!hasAesInstructions()) return null;
    const evp = load();
    const make = (key: Uint8Array): Sealer => new EvpAesSealer(evp, key);
    return isSound(make) ? make : null;
  } catch {
    return null;
  }
}

function hasAesInstructions(): boolean {
  if (process.platform === 'darwin') return true;
  if (process.platform !== 'linux') return false;
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  return (
    /^(?:flags|Features)\s*:.*\baes\b/m.test(text) &&
    /^(?:flags|Features)\s*:.*\b(?:pclmulqdq|pmull)\b/m.test(text)
  );
}

function load(): Evp {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const openssl = koffi.load(null);
  const init = [POINTER, POINTER, POINTER, POINTER, POINTER],
    update = [POINTER, POINTER, POINTER, POINTER, 'int'],
    final = [POINTER, POINTER, POINTER];
  return {
    koffi,
    cipher: openssl.func('EVP_aes_256_gcm', POINTER, [])(),
    make: openssl.func('EVP_CIPHER_CTX_new', POINTER, []),
    free: openssl.func('EVP_CIPHER_CTX_free', 'void', [POINTER]),
    control: openssl.func('EVP_CIPHER_CTX_ctrl', 'int', [POINTER, 'int', 'int', POINTER]),
    sealInit: openssl.func('EVP_EncryptInit_ex', 'int', init),
    sealUpdate: openssl.func('EVP_EncryptUpdate', 'int', update),
    sealFinal: openssl.func('EVP_EncryptFinal_ex', 'int', final),
    openInit: openssl.func('EVP_DecryptInit_ex', 'int', init),
    openUpdate: openssl.func('EVP_DecryptUpdate', 'int', update),
    openFinal: openssl.func('EVP_DecryptFinal_ex', 'int', final),
  };
}

/**
 * What a call reads and writes beside the packet: nonce, length of the output, and a key while it
 * is set.
 */
const small = new Uint8Array(new ArrayBuffer(128));
const NONCE = 0,
  LENGTH = 16,
  KEY = 32;
const smallView = new DataView(small.buffer);
let smallAt = 0;

/**
 * Where memory begins that was used lately: a daemon seals in two or three buffers and opens in
 * one, by turns.
 */
const BUFFERS_KEPT = 8;
const buffers: ArrayBufferLike[] = [],
  buffersAt: number[] = [];
let nextBuffer = 0;

function addressOf(koffi: Koffi, bytes: Uint8Array): number {
  const { buffer } = bytes;
  for (let i = 0; i < buffers.length; i += 1)
    if (buffers[i] === buffer) return buffersAt[i]! + bytes.byteOffset;
  const at = Number(koffi.address(new Uint8Array(buffer)));
  buffers[nextBuffer] = buffer;
  buffersAt[nextBuffer] = at;
  nextBuffer = (nextBuffer + 1) % BUFFERS_KEPT;
  return at + bytes.byteOffset;
}

/** Noise 12.3 has the same for ChaCha20: four zero bytes and the number as u64, little endian. */
function setNonce(number: number): void {
  smallView.setUint32(NONCE + 4, number % 0x1_0000_0000, true);
  smallView.setUint32(NONCE + 8, Math.floor(number / 0x1_0000_0000), true);
}

const freed = new FinalizationRegistry<{ readonly evp: Evp; readonly context: number }>(
  ({ evp, context }) => {
    evp.free(context);
  },
);

class EvpAesSealer implements Sealer {
  readonly #evp: Evp;
  readonly #key: Uint8Array;
  #sealing = 0;
  #opening = 0;

  constructor(evp: Evp, key: Uint8Array) {
    assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes');
    this.#evp = evp;
    this.#key = Uint8Array.from(key);
  }

  #context(init: Native): number {
    const evp = this.#evp;
    smallAt ||= Number(evp.koffi.address(small));
    const context = evp.make();
    assert(context !== 0, 'OpenSSL has no memory for a key');
    freed.register(this, { evp, context });
    small.set(this.#key, KEY);
    const done = init(context, evp.cipher, 0, smallAt + KEY, smallAt + NONCE);
    small.fill(0, KEY, KEY + KEY_BYTES);
    assert(done === 1, 'OpenSSL takes a key of 32 bytes');
    return context;
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    assert(head <= end && end + TAG_BYTES <= bytes.length, 'there is room for the tag');
    const evp = this.#evp;
    const context = (this.#sealing ||= this.#context(evp.sealInit));
    const at = addressOf(evp.koffi, bytes),
      length = smallAt + LENGTH,
      tag = at + end;
    setNonce(number);
    const done =
      evp.sealInit(context, 0, 0, 0, smallAt + NONCE) &
      evp.sealUpdate(context, 0, length, at, head) &
      evp.sealUpdate(context, at + head, length, at + head, end - head) &
      evp.sealFinal(context, tag, length) &
      evp.control(context, GET_TAG, TAG_BYTES, tag);
    assert(done === 1, 'OpenSSL seals');
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    const tagAt = end - TAG_BYTES;
    if (tagAt < head || end > bytes.length) return false;
    const evp = this.#evp;
    const context = (this.#opening ||= this.#context(evp.openInit));
    const at = addressOf(evp.koffi, bytes),
      length = smallAt + LENGTH,
      text = at + head;
    setNonce(number);
    if (
      (evp.openInit(context, 0, 0, 0, smallAt + NONCE) &
        evp.openUpdate(context, 0, length, at, head) &
        evp.openUpdate(context, text, length, text, tagAt - head) &
        evp.control(context, SET_TAG, TAG_BYTES, at + tagAt) &
        evp.openFinal(context, at + tagAt, length)) ===
      1
    )
      return true;
    // What does not open is left as it was: the key stream once more takes back what it did.
    evp.openInit(context, 0, 0, 0, smallAt + NONCE);
    evp.openUpdate(context, text, length, text, tagAt - head);
    return false;
  }
}

/** Gives the bytes that node:crypto gives, and refuses what is altered. */
function isSound(make: (key: Uint8Array) => Sealer): boolean {
  const key = Uint8Array.from({ length: KEY_BYTES }, (_, i) => 7 * i),
    head = NONCE_BYTES;
  const ours = make(key),
    reference = new NodeAesSealer(key);
  for (const size of [0, 1, 15, 16, 100, 1_400]) {
    const a = Uint8Array.from({ length: head + size + TAG_BYTES }, (_, i) => i),
      b = a.slice(),
      plain = a.slice(0, head + size),
      number = 2 ** 40 + size;
    ours.seal(number, a, head, head + size);
    reference.seal(number, b, head, head + size);
    if (Buffer.compare(a, b) !== 0) return false;
    a[a.length - 1]! ^= 1;
    const forged = a.slice();
    if (ours.open(number, a, head, a.length) || Buffer.compare(a, forged) !== 0) return false;
    if (
      !ours.open(number, b, head, b.length) ||
      Buffer.compare(b.subarray(0, head + size), plain) !== 0
    )
      return false;
  }
  return true;
}
