/**
 * Certificates between two neighbours: signed statements name one by its hash, and it travels once,
 * in front of the first that does.
 *
 * Owns, of one link, which certificate the neighbour has of each origin, and the bytes of those
 * that it has shown and nothing good was signed under yet. A neighbour without one refuses what
 * names it, says so (`sendLost`), and gets both. Bytes that were shown are nobody's until a
 * statement proves them: few are kept, and what is kept of a liar takes the place of his own.
 */

import { copyOf, hex } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Membership } from '../crypto/membership.ts';
import { CERTIFICATE_BYTES_MAX, type Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_CERTIFICATE } from '../wire/frames.ts';
import { CONTROL_CHECK_BYTES, putControlCheck } from '../wire/link-state.ts';
import { originOfKey } from '../wire/record.ts';
import { WIRE_VERSION_RECORDS } from '../wire/versions.ts';
import type { RoutedLink } from './routed-link.ts';

/** Shown and not proved yet: of all that a neighbour may have under way at once, twice. */
const SHOWN_MAX = 256;
/** What was shown this lately is on its way still. */
const ON_ITS_WAY: Micros = 20 * MILLISECOND;
/** Questions for certificates that a neighbour may cause. */
const ASKS_PER_SECOND = 100;

/** Whether the neighbour knows records and certificates on their own. */
export function speaksRecords(link: RoutedLink): boolean {
  return link.channel !== null && link.channel.version >= WIRE_VERSION_RECORDS;
}

export class CertificatePeer {
  readonly #link: RoutedLink;
  readonly #membership: Membership;
  /** Of each origin the certificate that the neighbour has. Bounded by what is flooded. */
  readonly #taken = new Map<NodeId, Certificate>();
  readonly #sent = new Map<NodeId, { readonly certificate: Certificate; readonly at: Micros }>();
  /** Bytes by hash, the oldest first. */
  readonly #shown = new Map<string, Uint8Array>();
  readonly #asks = new TokenBucket(ASKS_PER_SECOND, ASKS_PER_SECOND);

  constructor(link: RoutedLink, membership: Membership) {
    this.#link = link;
    this.#membership = membership;
  }

  /** Something under `key` that names `certificate` is about to be sent. */
  show(key: number, certificate: Certificate | null, now: Micros): void {
    const origin = originOfKey(key);
    if (
      certificate === null ||
      this.#taken.get(origin) === certificate ||
      !speaksRecords(this.#link)
    )
      return;
    const sent = this.#sent.get(origin);
    if (sent !== undefined && sent.certificate === certificate && now - sent.at < ON_ITS_WAY)
      return;
    const { bytes } = certificate;
    const at = this.#link.control(FRAME_CERTIFICATE, bytes.length + CONTROL_CHECK_BYTES);
    if (at < 0) return;
    this.#sent.set(origin, { certificate, at: now });
    const { buffer } = this.#link.channel!;
    buffer.set(bytes, at);
    putControlCheck(buffer, at, at + bytes.length);
  }

  /** The neighbour has believed what is under `key`, or said it. */
  onTaken(key: number, certificate: Certificate | null): void {
    if (certificate === null) return;
    this.#taken.set(originOfKey(key), certificate);
    this.#sent.delete(originOfKey(key));
  }

  /** The neighbour may no longer have the certificate of that origin, or we do not. */
  forget(key: number): void {
    this.#taken.delete(originOfKey(key));
    this.#sent.delete(originOfKey(key));
  }

  /** The body of a CERTIFICATE frame, without its check. */
  onShown(bytes: Uint8Array, start: number, end: number): DropReason {
    if (end - start > CERTIFICATE_BYTES_MAX || end === start)
      return DropReason.certificateMalformed;
    const copy = copyOf(bytes, start, end);
    const name = hex(this.#membership.primitives.sha256(copy));
    this.#shown.delete(name);
    this.#shown.set(name, copy);
    if (this.#shown.size > SHOWN_MAX) this.#shown.delete(this.#shown.keys().next().value!);
    return DropReason.none;
  }

  /** The bytes that the neighbour has shown under this name. */
  shown(hash: Uint8Array): Uint8Array | null {
    return this.#shown.get(hex(hash)) ?? null;
  }

  /** Under these bytes something good was signed: they are known elsewhere from now on. */
  onProved(hash: Uint8Array): void {
    this.#shown.delete(hex(hash));
  }

  /** Whether it may be asked for a certificate that it did not show. */
  mayAsk(now: Micros): boolean {
    return this.#asks.take(now);
  }
}
