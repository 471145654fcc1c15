/**
 * The newest record of every origin, kind and page, and when to stop believing it; as what is
 * flooded, in RECORD frames. Bounded in records.
 */

import type { Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import { FRAME_RECORD, FRAME_RECORD_ACK, FRAME_RECORD_DIGEST } from '../wire/frames.ts';
import type { SignedRecord } from '../wire/record.ts';
import { FloodedRecords } from './flooded-records.ts';

export interface HeldRecord {
  readonly record: SignedRecord;
  /** Under which it was verified. */
  readonly certificate: Certificate;
  readonly expiresAt: Micros;
}

export class RecordDatabase extends FloodedRecords<HeldRecord> {
  readonly frames = { item: FRAME_RECORD, ack: FRAME_RECORD_ACK, digest: FRAME_RECORD_DIGEST };
  /** Changes when a record comes, goes, or is of another certificate. */
  identities = 0;

  install(record: SignedRecord, certificate: Certificate, expiresAt: Micros): void {
    if (this.held.get(record.id)?.certificate !== certificate) this.identities += 1;
    this.held.set(record.id, { record, certificate, expiresAt });
  }

  remove(key: number): void {
    if (this.held.delete(key)) this.identities += 1;
  }
}
