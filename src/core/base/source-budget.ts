/**
 * A budget for each source of work: so many actions a second for each address, of a bounded number
 * of addresses.
 *
 * For addresses that can't be made up, because whoever acts from one has shown that it receives
 * there. The address used longest ago is forgotten first, and begins with a full burst when it
 * comes again.
 */

import { addressAt, ADDRESS_BYTES, putAddress } from './ip-address.ts';
import type { Micros } from './time.ts';
import { TokenBucket } from './token-bucket.ts';

export class SourceBudget {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #sourcesMax: number;
  /** The one used longest ago first. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(perSecond: number, burst: number, sourcesMax: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#sourcesMax = sourcesMax;
  }

  /** Takes one action of `source`'s if there is one. */
  take(source: string, now: Micros): boolean {
    let bucket = this.#buckets.get(source);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#perSecond, this.#burst);
      if (this.#buckets.size >= this.#sourcesMax)
        this.#buckets.delete(this.#buckets.keys().next().value!);
    } else this.#buckets.delete(source);
    this.#buckets.set(source, bucket);
    return bucket.take(now);
  }
}

const NETWORK_BYTES = 8;
const bytes = new Uint8Array(ADDRESS_BYTES);

/**
 * Whose address it is: an IPv4 address itself, of IPv6 its /64, which one host has whole. Other
 * text is its own source.
 */
export function sourceOf(address: string): string {
  const plain =
    address.toLowerCase().startsWith('::ffff:') && address.includes('.')
      ? address.slice(7)
      : address;
  if (!plain.includes(':')) return plain;
  const scope = plain.indexOf('%');
  if (!putAddress(bytes, 0, scope < 0 ? plain : plain.slice(0, scope))) return plain;
  bytes.fill(0, NETWORK_BYTES);
  return addressAt(bytes, 0);
}
