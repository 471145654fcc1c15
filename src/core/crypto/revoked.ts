/**
 * What a revocation list revokes: serials, and the subjects of certificates: keys and holders.
 *
 * A serial is one certificate. A node that was renewed has several, all public, and who has its key
 * can show any of them; therefore its keys are revoked, and what its holder got until then. Owns
 * which subjects a certificate has. The list's bytes are core/wire/certificate.ts's; who asks is
 * certificates.ts. Invariant: what the list of one authority revokes, that of another does not
 * bring back.
 */

import { hex, putU32, utf8Encode } from '../base/bytes.ts';
import {
  SUBJECT_ID_BYTES,
  type Certificate,
  type CertificateRequest,
  type RevocationFields,
  type RevokedSubject,
} from '../wire/certificate.ts';
import { labelledHash } from './keys.ts';

/**
 * "Not before" is an u48: every certificate, also those to come. A key that somebody else has stays
 * revoked.
 */
export const FOR_EVER_S = 0xffff_ffff_ffff;

/** The subjects of what is asked or certified, 24 hexadecimal digits each. */
export interface Subjects {
  readonly signingKey: string;
  readonly exchangeKey: string;
  /** Node id and name together; a client that is no node is its name. */
  readonly holder: string;
}

/** A certificate's never change, and it is judged often. */
const known = new WeakMap<object, Subjects>();

export function subjectsOf(
  certificate: Pick<CertificateRequest, 'name' | 'node' | 'signingKey' | 'exchangeKey'>,
): Subjects {
  let subjects = known.get(certificate);
  if (subjects === undefined) {
    const node = new Uint8Array(4);
    putU32(node, 0, certificate.node);
    subjects = {
      signingKey: idOf('spines revoked signing key', certificate.signingKey),
      exchangeKey: idOf('spines revoked exchange key', certificate.exchangeKey),
      holder: idOf('spines revoked holder', node, utf8Encode(certificate.name)),
    };
    known.set(certificate, subjects);
  }
  return subjects;
}

/**
 * The entries that revoke `certificate`, every other one for its keys, and those that its holder
 * got no later.
 */
export function revocationOf(certificate: Certificate): RevokedSubject[] {
  const { signingKey, exchangeKey, holder } = subjectsOf(certificate);
  return [
    { subject: signingKey, untilS: FOR_EVER_S },
    { subject: exchangeKey, untilS: FOR_EVER_S },
    { subject: holder, untilS: certificate.notBeforeS },
  ];
}

/** Entries as a list has them: each subject once, with the latest of its times, ascending. */
export function mergedSubjects(entries: Iterable<RevokedSubject>): RevokedSubject[] {
  const latest = new Map<string, number>();
  for (const { subject, untilS } of entries)
    latest.set(subject, Math.max(untilS, latest.get(subject) ?? 0));
  return [...latest]
    .map(([subject, untilS]) => ({ subject, untilS }))
    .sort((a, b) => (a.subject < b.subject ? -1 : 1));
}

/** One list, ready to be asked. */
export class Revoked {
  readonly #serials: ReadonlySet<string>;
  readonly #untilS: ReadonlyMap<string, number>;

  constructor({ serials, subjects }: Pick<RevocationFields, 'serials' | 'subjects'>) {
    this.#serials = new Set(serials);
    this.#untilS = new Map(subjects.map(({ subject, untilS }) => [subject, untilS]));
  }

  has(certificate: Certificate): boolean {
    if (this.#serials.has(certificate.serial)) return true;
    if (this.#untilS.size === 0) return false;
    const { signingKey, exchangeKey, holder } = subjectsOf(certificate);
    return [signingKey, exchangeKey, holder].some(
      (subject) => certificate.notBeforeS <= this.untilS(subject),
    );
  }

  /** Until when certificates of `subject` are revoked; -1: none is. */
  untilS(subject: string): number {
    return this.#untilS.get(subject) ?? -1;
  }
}

function idOf(label: string, ...parts: readonly Uint8Array[]): string {
  return hex(labelledHash(label, ...parts).subarray(0, SUBJECT_ID_BYTES));
}
