/**
 * Identities: issuing authorities, requests, certificates and revocation lists, and judging those
 * of others.
 *
 * Owns who may sign what and the order of the checks; the bytes are core/wire/certificate.ts's.
 * Called by the operator's tool and by whoever meets a certificate. Time is passed in, as seconds
 * since 1970, and so are the primitives for whom
 * @noble is too slow. A statement from elsewhere gets a named verdict; only fields that an operator
 *        chose wrongly throw
 * (SpinesError).
 */

import { assert } from '../base/assert.ts';
import { equalBytes, hex } from '../base/bytes.ts';
import { SpinesError } from '../base/errors.ts';
import { sortedGroups, GROUPS_BYTES_MAX, isNodeId, isNodeName, NO_NODE } from '../base/ids.ts';
import type { SecureRandom } from '../base/rng.ts';
import {
  AUTHORITY_ID_BYTES,
  decodeAuthority,
  decodeCertificate,
  decodeRequest,
  decodeRevocations,
  encodeAuthority,
  encodeCertificate,
  encodeRequest,
  encodeRevocations,
  isSerial,
  revocationBytes,
  REVOCATIONS_BYTES_MAX,
  REVOCATIONS_MAX,
  ROLE_CLIENT,
  ROLE_ROUTER,
  SERIAL_BYTES,
  signaturePart,
  signedPart,
  type Authority,
  type Certificate,
  type CertificateRequest,
  type RevocationList,
  type RevokedSubject,
  type StatementFault,
} from '../wire/certificate.ts';
import { draw, labelled, labelledHash, type KeyPair, type Secret } from './keys.ts';
import { noblePrimitives } from './noble-primitives.ts';
import type { SigningPrimitives } from './primitives.ts';
import { mergedSubjects, Revoked } from './revoked.ts';

/**
 * What is put in front of signed bytes, with a zero byte. A signature of one kind can therefore be
 * used for no other.
 */
const LABEL_AUTHORITY = 'spines authority',
  LABEL_REQUEST = 'spines request',
  LABEL_CERTIFICATE = 'spines certificate',
  LABEL_REVOCATIONS = 'spines revocations';

/** Authorities that may be trusted at once: the old one, the new one, and some room. */
export const AUTHORITIES_MAX = 8;
const TIME_MAX = 0xffff_ffff_ffff;

/** What a certificate is, to somebody who trusts certain authorities. Only 'ok' is a yes. */
export type CertificateVerdict =
  | 'ok'
  | 'wrong-network'
  | 'unknown-authority'
  | 'bad-signature'
  | 'authority-not-valid'
  | 'not-yet-valid'
  | 'expired'
  | 'revoked';

/** What a revocation list is. 'stale': not newer than the one at hand. Only 'ok' is a yes. */
export type RevocationVerdict =
  | 'ok'
  | 'wrong-network'
  | 'unknown-authority'
  | 'bad-signature'
  | 'stale';

export interface Validity {
  /** Seconds since 1970. */
  readonly notBeforeS: number;
  /** The first second that is too late. */
  readonly notAfterS: number;
}

/** The id of the network that the authority with this key founds, 32 bytes. */
export function networkIdOf(foundingKey: Uint8Array): Uint8Array {
  return labelledHash('spines network', foundingKey);
}

/** How certificates name the authority that signed them, 16 bytes. */
export function authorityIdOf(signingKey: Uint8Array): Uint8Array {
  return labelledHash('spines authority key', signingKey).slice(0, AUTHORITY_ID_BYTES);
}

/** What two people compare to be sure that they mean the same keys, 16 bytes. */
export function fingerprintOf(keys: {
  readonly signingKey: Uint8Array;
  readonly exchangeKey: Uint8Array;
}): Uint8Array {
  return labelledHash('spines fingerprint', keys.signingKey, keys.exchangeKey).slice(0, 16);
}

/* ------------------------------------------------------------------ issuing */

/** `network`: the id of an existing network, for another authority of it; null founds a new one. */
export function makeAuthority(
  name: string,
  keys: KeyPair,
  validity: Validity,
  network: Uint8Array | null,
  primitives: SigningPrimitives = noblePrimitives,
): Authority {
  checkName(name, 'network name');
  checkValidity(validity);
  const body = encodeAuthority({
    name,
    network: network ?? networkIdOf(keys.publicKey),
    signingKey: keys.publicKey,
    ...pick(validity),
  });
  return own(
    decodeAuthority(signed(primitives, LABEL_AUTHORITY, body, keys.secret, keys.publicKey)),
  );
}

/** `node`: NO_NODE for a client that is no node. */
export function makeRequest(
  name: string,
  node: number,
  signing: KeyPair,
  exchangeKey: Uint8Array,
  primitives: SigningPrimitives = noblePrimitives,
  groups: readonly string[] = [],
): CertificateRequest {
  checkName(name, 'node name');
  if (node !== NO_NODE && !isNodeId(node))
    throw new SpinesError('EINVAL', 'node id: must be a node id; choose one below 224.0.0.0');
  const body = encodeRequest({
    name,
    node,
    signingKey: signing.publicKey,
    exchangeKey,
    groups: checkedGroups(groups),
  });
  return own(
    decodeRequest(signed(primitives, LABEL_REQUEST, body, signing.secret, signing.publicKey)),
  );
}

/**
 * Why a request must not be signed: its keys are weak, or who sent it does not hold the signing
 * key. Null: nothing.
 */
export function requestFault(
  request: CertificateRequest,
  primitives: SigningPrimitives = noblePrimitives,
): 'bad-signature' | 'bad-key' | null {
  if (
    !primitives.isSigningKey(request.signingKey) ||
    !primitives.isExchangeKey(request.exchangeKey)
  )
    return 'bad-key';
  return isSignedBy(primitives, LABEL_REQUEST, request.bytes, request.signingKey)
    ? null
    : 'bad-signature';
}

/**
 * A certificate for what `request` asks, but with `groups` whatever those of it are, and a random
 * serial. `authority` and `secret` belong together.
 */
export function issueCertificate(
  request: CertificateRequest,
  roles: number,
  validity: Validity,
  authority: Authority,
  secret: Secret,
  random: SecureRandom,
  primitives: SigningPrimitives = noblePrimitives,
  groups: readonly string[] = [],
): Certificate {
  const fault = requestFault(request, primitives);
  if (fault !== null)
    throw new SpinesError(
      'EREQUEST',
      'request: ' +
        `${fault === 'bad-key' ? 'one of its keys is weak' : 'is not signed by its own key'}; ` +
        'have it made again',
    );
  if (roles === 0 || (roles & ~(ROLE_ROUTER | ROLE_CLIENT)) !== 0)
    throw new SpinesError('EINVAL', 'roles: must be router, client or both; choose at least one');
  if ((roles & ROLE_ROUTER) !== 0 && request.node === NO_NODE)
    throw new SpinesError(
      'EINVAL',
      'roles: a router needs a node id and the request has none; give it the role client',
    );
  checkValidity(validity);
  let serial = '';
  while (!isSerial(serial)) serial = hex(draw(random, SERIAL_BYTES));
  const { name, node, signingKey, exchangeKey } = request;
  const body = encodeCertificate({
    name,
    node,
    signingKey,
    exchangeKey,
    groups: checkedGroups(groups),
    roles,
    serial,
    network: authority.network,
    authority: authorityIdOf(authority.signingKey),
    ...pick(validity),
  });
  return own(
    decodeCertificate(signed(primitives, LABEL_CERTIFICATE, body, secret, authority.signingKey)),
  );
}

/**
 * The list that follows `previous` (null: the first). Its number is at least the time of issue, so
 * that an authority restored from an old copy still goes on above what it has issued.
 */
export function issueRevocations(
  serials: Iterable<string>,
  previous: RevocationList | null,
  nowS: number,
  authority: Authority,
  secret: Secret,
  primitives: SigningPrimitives = noblePrimitives,
  subjects: Iterable<RevokedSubject> = [],
): RevocationList {
  const sorted = [...new Set(serials)].sort();
  for (const serial of sorted)
    if (!isSerial(serial))
      throw new SpinesError(
        'EINVAL',
        'serial: must be 16 lower-case hexadecimal digits; see `spines keys show`',
      );
  if (sorted.length > REVOCATIONS_MAX)
    throw new SpinesError(
      'ERANGE',
      `revocations: at most ${REVOCATIONS_MAX} fit a list; change to a new authority`,
    );
  const merged = mergedSubjects(subjects);
  if (revocationBytes(sorted.length, merged.length) > REVOCATIONS_BYTES_MAX) {
    throw new SpinesError(
      'ERANGE',
      `revocations: ${sorted.length} serials and ${merged.length} keys and holders do not fit a ` +
        `list of ${REVOCATIONS_BYTES_MAX} bytes; change to a new authority`,
    );
  }
  const number = Math.max((previous?.number ?? 0) + 1, nowS);
  const body = encodeRevocations({
    network: authority.network,
    authority: authorityIdOf(authority.signingKey),
    number,
    issuedS: nowS,
    serials: sorted,
    subjects: merged,
  });
  return own(
    decodeRevocations(signed(primitives, LABEL_REVOCATIONS, body, secret, authority.signingKey)),
  );
}

/* ------------------------------------------------------------------ judging */

/**
 * True when an authority's statement is signed by the key in it. Says nothing about whether to
 * trust it.
 */
export function isAuthentic(
  authority: Authority,
  primitives: SigningPrimitives = noblePrimitives,
): boolean {
  return (
    primitives.isSigningKey(authority.signingKey) &&
    isSignedBy(primitives, LABEL_AUTHORITY, authority.bytes, authority.signingKey)
  );
}

/**
 * The authorities of one network that somebody trusts, and the newest revocation list of each. A
 * list revokes certificates of all of them: what one authority takes back stays so when another
 * takes over.
 */
export class Trust {
  /** Network id, 32 bytes. */
  readonly network: Uint8Array;
  readonly #primitives: SigningPrimitives;
  readonly #authorities = new Map<string, Authority>();
  readonly #lists = new Map<string, { readonly list: RevocationList; readonly revoked: Revoked }>();

  /**
   * Throws SpinesError unless there are 1..AUTHORITIES_MAX authorities of one network, each signed
   * by itself.
   */
  constructor(authorities: readonly Authority[], primitives: SigningPrimitives = noblePrimitives) {
    const first = authorities[0];
    if (first === undefined)
      throw new SpinesError('EAUTHORITY', 'authorities: none is trusted; name at least one');
    if (authorities.length > AUTHORITIES_MAX)
      throw new SpinesError(
        'EAUTHORITY',
        `authorities: at most ${AUTHORITIES_MAX} can be trusted; remove those that are not needed`,
      );
    this.network = first.network;
    this.#primitives = primitives;
    for (const authority of authorities) {
      if (!isAuthentic(authority, primitives))
        throw new SpinesError(
          'EAUTHORITY',
          `authority ${authority.name}: is not signed by its own key; copy the file again`,
        );
      if (!equalBytes(authority.network, this.network))
        throw new SpinesError(
          'EAUTHORITY',
          `authority ${authority.name}: belongs to another network; trust authorities of one ` +
            'network',
        );
      this.#authorities.set(hex(authorityIdOf(authority.signingKey)), authority);
    }
  }

  /**
   * Judges a certificate at the time `nowS`. One signature is verified, unless an earlier check
   * says no.
   */
  judge(certificate: Certificate, nowS: number): CertificateVerdict {
    if (!equalBytes(certificate.network, this.network)) return 'wrong-network';
    const authority = this.authorityOf(certificate);
    if (authority === undefined) return 'unknown-authority';
    if (!isSignedBy(this.#primitives, LABEL_CERTIFICATE, certificate.bytes, authority.signingKey))
      return 'bad-signature';
    return this.judgeAgain(certificate, nowS);
  }

  /**
   * What may have changed about a certificate whose signature has been verified here: time and
   * revocation.
   */
  judgeAgain(certificate: Certificate, nowS: number): CertificateVerdict {
    const authority = this.authorityOf(certificate);
    if (authority === undefined) return 'unknown-authority';
    if (this.isRevoked(certificate)) return 'revoked';
    if (nowS < authority.notBeforeS || nowS >= authority.notAfterS) return 'authority-not-valid';
    if (nowS < certificate.notBeforeS) return 'not-yet-valid';
    return nowS >= certificate.notAfterS ? 'expired' : 'ok';
  }

  /**
   * Takes a revocation list over if it is authentic and newer than what is held of its authority.
   */
  offer(list: RevocationList): RevocationVerdict {
    if (!equalBytes(list.network, this.network)) return 'wrong-network';
    const id = hex(list.authority);
    const authority = this.#authorities.get(id);
    if (authority === undefined) return 'unknown-authority';
    const held = this.#lists.get(id);
    if (held !== undefined && list.number <= held.list.number) return 'stale';
    if (!isSignedBy(this.#primitives, LABEL_REVOCATIONS, list.bytes, authority.signingKey))
      return 'bad-signature';
    this.#lists.set(id, { list, revoked: new Revoked(list) });
    return 'ok';
  }

  /** The trusted authority that a certificate names; undefined when there is none. */
  authorityOf(certificate: Certificate): Authority | undefined {
    return this.#authorities.get(hex(certificate.authority));
  }

  /** By its serial, one of its keys or its holder, in the list of any authority. */
  isRevoked(certificate: Certificate): boolean {
    for (const { revoked } of this.#lists.values()) if (revoked.has(certificate)) return true;
    return false;
  }

  get authorities(): Authority[] {
    return [...this.#authorities.values()];
  }

  /** The newest list of each authority that has one. */
  get revocations(): RevocationList[] {
    return [...this.#lists.values()].map(({ list }) => list);
  }
}

/* ------------------------------------------------------------------ shared */

function signed(
  primitives: SigningPrimitives,
  label: string,
  body: Uint8Array,
  secret: Secret,
  publicKey: Uint8Array,
): Uint8Array {
  const signature = primitives.sign(labelled(label, body), secret.reveal(), publicKey);
  const out = new Uint8Array(body.length + signature.length);
  out.set(body, 0);
  out.set(signature, body.length);
  return out;
}

function isSignedBy(
  primitives: SigningPrimitives,
  label: string,
  bytes: Uint8Array,
  key: Uint8Array,
): boolean {
  return primitives.verify(labelled(label, signedPart(bytes)), signaturePart(bytes), key);
}

/** What we have just built must decode. */
function own<T extends object>(statement: T | StatementFault): T {
  assert(typeof statement !== 'string', 'a statement of our own is well formed');
  return statement;
}

function pick({ notBeforeS, notAfterS }: Validity): Validity {
  return { notBeforeS, notAfterS };
}

function checkName(name: string, field: string): void {
  if (!isNodeName(name))
    throw new SpinesError(
      'EINVAL',
      `${field}: must be 1-63 letters, digits, "-", "_" or ".", not starting with "-" and not an ` +
        'address; choose another',
    );
}

function checkedGroups(groups: readonly string[]): readonly string[] {
  const sorted = sortedGroups(groups);
  if (sorted === null) {
    throw new SpinesError(
      'EINVAL',
      `groups: must be letters, digits, "-", "_" or ".", and at most ${GROUPS_BYTES_MAX} ` +
        'characters together, commas included; choose fewer or shorter ones',
    );
  }
  return sorted;
}

function checkValidity({ notBeforeS, notAfterS }: Validity): void {
  const times = [notBeforeS, notAfterS];
  if (
    times.some((time) => !Number.isInteger(time) || time < 0 || time > TIME_MAX) ||
    notBeforeS >= notAfterS
  ) {
    throw new SpinesError('EINVAL', 'validity: must end after it begins; choose more days');
  }
}
