/**
 * The records that carry the client protocol between a remote client and its daemon, once their
 * handshake is done.
 *
 * ```
 * length of what follows u16, big endian | sealed: 1..16,384 bytes of the client protocol and a tag
 * of 16
 * ```
 *
 * ChaCha20-Poly1305 (RFC 8439) over each record, the two length bytes being authenticated with it.
 * The nonce is four zero bytes and the number of the record in its direction as u64, little endian,
 * counted from 0 and never reset. Before each record whose number is a multiple of 2^20, save the
 * first, the direction's key becomes HMAC-SHA256(key, "spines client ratchet"): a key that leaks
 * opens nothing from before. Records are cut anywhere: where one ends means nothing. Anything that
 * does not open ends the connection. One object is one direction of one connection.
 */

import type { NoisePrimitives } from './noise.ts';

/** Bytes of the client protocol in one record. */
export const RECORD_PLAIN_MAX = 16_384;
export const RECORD_HEAD_BYTES = 2;
const TAG_BYTES = 16;
/** Bytes that sealing adds to each record. */
export const RECORD_OVERHEAD = RECORD_HEAD_BYTES + TAG_BYTES;
export const RECORD_BYTES_MAX = RECORD_PLAIN_MAX + RECORD_OVERHEAD;
/** Records that one key seals. */
export const RATCHET_RECORDS = 2 ** 20;
const RATCHET_LABEL = Uint8Array.from('spines client ratchet', (c) => c.charCodeAt(0));

class RecordKey {
  readonly #primitives: NoisePrimitives;
  readonly #ratchetRecords: number;
  #key: Uint8Array;
  /** Of the next record. */
  number = 0;

  constructor(primitives: NoisePrimitives, key: Uint8Array, ratchetRecords: number) {
    this.#primitives = primitives;
    this.#key = key.slice();
    this.#ratchetRecords = ratchetRecords;
  }

  /** The key of the record `number`. */
  current(): Uint8Array {
    if (this.number > 0 && this.number % this.#ratchetRecords === 0) {
      const next = this.#primitives.hmacSha256(this.#key, RATCHET_LABEL);
      this.#key.fill(0);
      this.#key = next;
    }
    return this.#key;
  }
}

export class RecordSealer {
  readonly #primitives: NoisePrimitives;
  readonly #key: RecordKey;

  /** `key`: 32 bytes, the handshake's `send`. */
  constructor(primitives: NoisePrimitives, key: Uint8Array, ratchetRecords = RATCHET_RECORDS) {
    this.#primitives = primitives;
    this.#key = new RecordKey(primitives, key, ratchetRecords);
  }

  /** `bytes`, at least one, as as many records as they need, one behind the other. */
  seal(bytes: Uint8Array): Uint8Array {
    const records = Math.ceil(bytes.length / RECORD_PLAIN_MAX);
    const out = new Uint8Array(bytes.length + records * RECORD_OVERHEAD);
    let at = 0;
    for (let start = 0; start < bytes.length; start += RECORD_PLAIN_MAX) {
      const plain = bytes.subarray(start, Math.min(bytes.length, start + RECORD_PLAIN_MAX));
      const length = plain.length + TAG_BYTES;
      out[at] = length >>> 8;
      out[at + 1] = length;
      const key = this.#key.current();
      out.set(
        this.#primitives.encrypt(
          key,
          this.#key.number,
          out.subarray(at, at + RECORD_HEAD_BYTES),
          plain,
        ),
        at + RECORD_HEAD_BYTES,
      );
      this.#key.number += 1;
      at += RECORD_HEAD_BYTES + length;
    }
    return out;
  }
}

export class RecordOpener {
  readonly #primitives: NoisePrimitives;
  readonly #key: RecordKey;
  readonly #onPlain: (bytes: Uint8Array) => void;
  /** The record that is not whole yet. */
  #held: Uint8Array = new Uint8Array(0);
  #heldBytes = 0;
  #broken = false;

  /**
   * `key`: 32 bytes, the handshake's `receive`. `onPlain`: gets what one record held; the bytes are
   * the callee's.
   */
  constructor(
    primitives: NoisePrimitives,
    key: Uint8Array,
    onPlain: (bytes: Uint8Array) => void,
    ratchetRecords = RATCHET_RECORDS,
  ) {
    this.#primitives = primitives;
    this.#key = new RecordKey(primitives, key, ratchetRecords);
    this.#onPlain = onPlain;
  }

  /** Bytes of an unfinished record. */
  get pendingBytes(): number {
    return this.#heldBytes;
  }

  /**
   * False, from then on always: a record does not open, and the connection has to end. `chunk` is
   * the caller's again after the call.
   */
  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && !this.#broken) {
      if (this.#heldBytes > 0) {
        at = this.#fill(chunk, at);
        continue;
      }
      const left = chunk.length - at;
      const bytes = left < RECORD_HEAD_BYTES ? RECORD_BYTES_MAX : this.#recordBytes(chunk, at);
      if (this.#broken) break;
      if (left < bytes) {
        this.#keep(chunk, at, chunk.length);
        break;
      }
      this.#open(chunk.subarray(at, at + bytes));
      at += bytes;
    }
    return !this.#broken;
  }

  #fill(chunk: Uint8Array, start: number): number {
    let at = start;
    if (this.#heldBytes < RECORD_HEAD_BYTES) {
      this.#keep(chunk, at, at + 1);
      at += 1;
    }
    const bytes = this.#recordBytes(this.#held, 0);
    if (this.#broken) return at;
    const end = Math.min(chunk.length, at + bytes - this.#heldBytes);
    this.#keep(chunk, at, end);
    if (this.#heldBytes === bytes) {
      this.#heldBytes = 0;
      this.#open(this.#held.subarray(0, bytes));
    }
    return end;
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    if (this.#held.length === 0) this.#held = new Uint8Array(RECORD_BYTES_MAX);
    this.#held.set(chunk.subarray(start, end), this.#heldBytes);
    this.#heldBytes += end - start;
  }

  /** Bytes of the record that begins at `at`. */
  #recordBytes(b: Uint8Array, at: number): number {
    const length = (b[at]! << 8) | b[at + 1]!;
    if (length <= TAG_BYTES || length > RECORD_PLAIN_MAX + TAG_BYTES) this.#broken = true;
    return RECORD_HEAD_BYTES + length;
  }

  #open(record: Uint8Array): void {
    const key = this.#key.current();
    const plain = this.#primitives.decrypt(
      key,
      this.#key.number,
      record.subarray(0, RECORD_HEAD_BYTES),
      record.subarray(RECORD_HEAD_BYTES),
    );
    if (plain === null) {
      this.#broken = true;
      return;
    }
    this.#key.number += 1;
    this.#onPlain(plain);
  }
}

/* ------------------------------------------------------------------ the handshake's frame */

/** Mixed into the handshake by both sides, so that it fits nothing else: "spines client 1". */
export const REMOTE_PROLOGUE = Uint8Array.from('spines client 1', (c) => c.charCodeAt(0));

/** A handshake message with its length in front, u16 big endian. */
export function frameHandshake(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 + message.length);
  out[0] = message.length >>> 8;
  out[1] = message.length;
  out.set(message, 2);
  return out;
}
