/**
 * The newest record of every origin, kind and page, and when to stop believing it; as what is
 * flooded, in RECORD frames.
 *
 * Bounded in records. The invariant: under one key the sequence number only grows while a record
 * exists.
 */

import { copyBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import { FRAME_RECORD, FRAME_RECORD_ACK, FRAME_RECORD_DIGEST } from '../wire/frames.ts';
import {
  originOfKey,
  putRecordEntry,
  RECORD_ENTRY_BYTES,
  recordEntryKey,
  recordEntrySequence,
  type SignedRecord,
} from '../wire/record.ts';
import type { Flooded } from './flooding.ts';

export interface HeldRecord {
  readonly record: SignedRecord;
  /** Under which it was verified. */
  readonly certificate: Certificate;
  readonly expiresAt: Micros;
}

export class RecordDatabase implements Flooded {
  readonly frames = { item: FRAME_RECORD, ack: FRAME_RECORD_ACK, digest: FRAME_RECORD_DIGEST };
  readonly entry = {
    bytes: RECORD_ENTRY_BYTES,
    put: putRecordEntry,
    key: recordEntryKey,
    sequence: recordEntrySequence,
  };
  readonly limit: number;
  /** Changes when a record comes, goes, or is of another certificate. */
  identities = 0;
  readonly #self: NodeId;
  readonly #held = new Map<number, HeldRecord>();

  /** `limit`: most records. */
  constructor(limit: number, self: NodeId) {
    this.limit = limit;
    this.#self = self;
  }

  get size(): number {
    return this.#held.size;
  }

  get(key: number): HeldRecord | undefined {
    return this.#held.get(key);
  }

  all(): IterableIterator<HeldRecord> {
    return this.#held.values();
  }

  install(record: SignedRecord, certificate: Certificate, expiresAt: Micros): void {
    if (this.#held.get(record.id)?.certificate !== certificate) this.identities += 1;
    this.#held.set(record.id, { record, certificate, expiresAt });
  }

  remove(key: number): void {
    if (this.#held.delete(key)) this.identities += 1;
  }

  keys(): Iterable<number> {
    return this.#held.keys();
  }

  sequence(key: number): number {
    return this.#held.get(key)?.record.sequence ?? -1;
  }

  bodyBytes(key: number): number {
    return this.#held.get(key)!.record.bytes.length;
  }

  putBody(key: number, _now: Micros, b: Uint8Array, at: number): number {
    const { bytes } = this.#held.get(key)!.record;
    copyBytes(bytes, 0, bytes.length, b, at);
    return at + bytes.length;
  }

  certificateOf(key: number): Certificate | null {
    return this.#held.get(key)?.certificate ?? null;
  }

  isOwn(key: number): boolean {
    return originOfKey(key) === this.#self;
  }
}
