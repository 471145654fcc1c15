/**
 * Advertisements as what is flooded: the link-state database under the origins' ids, in LINK_STATE
 * frames.
 */

import { copyBytes, putU16 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import { FRAME_DIGEST, FRAME_LINK_STATE, FRAME_LINK_STATE_ACK } from '../wire/frames.ts';
import {
  LIFETIME_BYTES,
  putVersionEntry,
  VERSION_ENTRY_BYTES,
  versionEntryOrigin,
  versionEntrySequence,
} from '../wire/link-state.ts';
import type { Flooded } from './flooding.ts';
import type { LinkStateDatabase } from './link-state-database.ts';

export class FloodedAdvertisements implements Flooded {
  readonly frames = { item: FRAME_LINK_STATE, ack: FRAME_LINK_STATE_ACK, digest: FRAME_DIGEST };
  readonly entry = {
    bytes: VERSION_ENTRY_BYTES,
    put: putVersionEntry,
    key: versionEntryOrigin,
    sequence: versionEntrySequence,
  };
  readonly #database: LinkStateDatabase;
  readonly #self: NodeId;

  constructor(database: LinkStateDatabase, self: NodeId) {
    this.#database = database;
    this.#self = self;
  }

  *keys(): Generator<number> {
    for (const record of this.#database.records()) yield record.advertisement.origin;
  }

  sequence(key: number): number {
    return this.#database.sequence(key);
  }

  bodyBytes(key: number): number {
    return LIFETIME_BYTES + this.#database.get(key)!.advertisement.bytes.length;
  }

  putBody(key: number, now: Micros, b: Uint8Array, at: number): number {
    const record = this.#database.get(key)!;
    const { bytes } = record.advertisement;
    putU16(b, at, Math.min(0xffff, this.#database.remainingSeconds(record, now)));
    copyBytes(bytes, 0, bytes.length, b, at + LIFETIME_BYTES);
    return at + LIFETIME_BYTES + bytes.length;
  }

  certificateOf(key: number): Certificate | null {
    return this.#database.get(key)?.certificate ?? null;
  }

  isOwn(key: number): boolean {
    return key === this.#self;
  }
}
