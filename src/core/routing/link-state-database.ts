/**
 * The link-state database: the newest advertisement of every node, and when to stop believing it.
 *
 * Owns storage, comparison and ageing. Flooding and route computation read it. The invariant: for
 * one origin the sequence number only grows while a record exists.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { Advertisement } from '../wire/link-state.ts';

export interface LinkStateRecord {
  advertisement: Advertisement;
  /**
   * The origin's, under which the advertisement was verified; null in a network without identities.
   */
  certificate: Certificate | null;
  receivedAt: Micros;
  /** Not believed from here on unless renewed. */
  expiresAt: Micros;
}

export type InstallResult = 'newer' | 'same' | 'older' | 'full';

export class LinkStateDatabase {
  readonly limit: number;
  /** Changes when a node comes or goes, or has another name or certificate. */
  identities = 0;
  readonly #records = new Map<NodeId, LinkStateRecord>();

  /** `limit`: most origins. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#records.size;
  }

  get(origin: NodeId): LinkStateRecord | undefined {
    return this.#records.get(origin);
  }

  /** Sequence number held for `origin`, -1 for none. */
  sequence(origin: NodeId): number {
    return this.#records.get(origin)?.advertisement.sequence ?? -1;
  }

  records(): IterableIterator<LinkStateRecord> {
    return this.#records.values();
  }

  /** What `install` would say of an advertisement of `origin` with this number. */
  compare(origin: NodeId, sequence: number): InstallResult {
    const held = this.#records.get(origin)?.advertisement.sequence;
    if (held === undefined) return this.#records.size >= this.limit ? 'full' : 'newer';
    return sequence > held ? 'newer' : sequence === held ? 'same' : 'older';
  }

  install(
    advertisement: Advertisement,
    now: Micros,
    expiresAt: Micros,
    certificate: Certificate | null = null,
  ): InstallResult {
    const result = this.compare(advertisement.origin, advertisement.sequence);
    if (result !== 'newer') return result;
    const held = this.#records.get(advertisement.origin);
    if (
      held === undefined ||
      held.certificate !== certificate ||
      held.advertisement.name !== advertisement.name
    )
      this.identities += 1;
    if (held === undefined) {
      this.#records.set(advertisement.origin, {
        advertisement,
        certificate,
        receivedAt: now,
        expiresAt,
      });
    } else {
      held.advertisement = advertisement;
      held.certificate = certificate;
      held.receivedAt = now;
      held.expiresAt = expiresAt;
    }
    return 'newer';
  }

  /** Forgets what is held of `origin`. */
  remove(origin: NodeId): void {
    this.#records.delete(origin);
    this.identities += 1;
  }

  /** Whole seconds for which a record may still be believed, at least 0. */
  remainingSeconds(record: LinkStateRecord, now: Micros): number {
    return Math.max(0, Math.floor((record.expiresAt - now) / SECOND));
  }

  /** Forgets what has expired; returns how many. */
  expire(now: Micros): number {
    let count = 0;
    for (const [origin, record] of this.#records) {
      if (record.expiresAt <= now) {
        this.remove(origin);
        count += 1;
      }
    }
    return count;
  }
}
