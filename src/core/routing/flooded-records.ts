/**
 * What all databases of records that are flooded have in common: the newest record under each key,
 * as flooding.ts sees it.
 *
 * Which records come in, and what follows from that, is said by those who extend it. The invariant:
 * under one key the sequence number only grows while a record exists.
 */

import { copyBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import {
  originOfKey,
  putRecordEntry,
  RECORD_ENTRY_BYTES,
  recordEntryKey,
  recordEntrySequence,
} from '../wire/record.ts';
import type { Flooded } from './flooding.ts';

export interface HeldBytes {
  readonly record: { readonly bytes: Uint8Array; readonly sequence: number };
  /** Under which it was verified; null in a network without identities. */
  readonly certificate: Certificate | null;
}

export abstract class FloodedRecords<Held extends HeldBytes> implements Flooded {
  abstract readonly frames: Flooded['frames'];
  readonly entry = {
    bytes: RECORD_ENTRY_BYTES,
    put: putRecordEntry,
    key: recordEntryKey,
    sequence: recordEntrySequence,
  };
  /** Most records. */
  readonly limit: number;
  protected readonly held = new Map<number, Held>();
  readonly #self: NodeId;

  constructor(limit: number, self: NodeId) {
    this.limit = limit;
    this.#self = self;
  }

  /** Records. */
  get size(): number {
    return this.held.size;
  }

  get(key: number): Held | undefined {
    return this.held.get(key);
  }

  all(): IterableIterator<Held> {
    return this.held.values();
  }

  keys(): Iterable<number> {
    return this.held.keys();
  }

  sequence(key: number): number {
    return this.held.get(key)?.record.sequence ?? -1;
  }

  bodyBytes(key: number): number {
    return this.held.get(key)!.record.bytes.length;
  }

  putBody(key: number, _now: Micros, b: Uint8Array, at: number): number {
    const { bytes } = this.held.get(key)!.record;
    copyBytes(bytes, 0, bytes.length, b, at);
    return at + bytes.length;
  }

  certificateOf(key: number): Certificate | null {
    return this.held.get(key)?.certificate ?? null;
  }

  isOwn(key: number): boolean {
    return originOfKey(key) === this.#self;
  }
}
