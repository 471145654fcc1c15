/**
 * The signed statements behind identities: authority, request, node certificate and revocation
 * list. WIRE.md section 11. The text that they travel in is armour.ts's.
 *
 * Owns bytes only: who signed is judged in core/crypto/certificates.ts. A decoded statement keeps a
 * copy of the received bytes, because a signature is checked over those and never over a
 * re-encoding. Decoders never throw: a string says what is wrong. One content has one encoding.
 */

import {
  copyOf,
  getU16,
  getU32,
  getU48,
  hex,
  putU16,
  putU32,
  putU48,
  utf8Decode,
  utf8Encode,
} from '../base/bytes.ts';
import {
  GROUPS_BYTES_MAX,
  isNodeId,
  isNodeName,
  NO_NODE,
  sortedGroups,
  type NodeId,
} from '../base/ids.ts';

/** Why bytes are no statement. */
export type StatementFault =
  | 'truncated'
  | 'left-over'
  | 'kind'
  | 'version'
  | 'name'
  | 'groups'
  | 'node'
  | 'roles'
  | 'validity'
  | 'serial'
  | 'serials-unsorted'
  | 'too-many-serials'
  | 'subjects-unsorted'
  | 'too-many-subjects';

export const STATEMENT_AUTHORITY = 1;
export const STATEMENT_REQUEST = 2;
export const STATEMENT_CERTIFICATE = 3;
export const STATEMENT_REVOCATIONS = 4;
export const STATEMENT_VERSION = 1;
/**
 * Of a revocation list that names subjects; one that names serials only has version 1, as before
 * there were others.
 */
export const REVOCATIONS_VERSION_SUBJECTS = 2;
/** Of a request or certificate with groups; one without them has version 1. */
export const VERSION_GROUPS = 2;

export const KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** SHA-256 of a certificate, by which signed statements name it. */
export const CERTIFICATE_HASH_BYTES = 32;
export const NETWORK_ID_BYTES = 32;
export const AUTHORITY_ID_BYTES = 16;
export const SERIAL_BYTES = 8;
const NAME_MAX = 63;
/** Most serials of one revocation list. */
export const REVOCATIONS_MAX = 4096;

/** May forward packets and advertise links. */
export const ROLE_ROUTER = 0x01;
/** May use a daemon of the network from afar. */
export const ROLE_CLIENT = 0x02;
const ROLES = ROLE_ROUTER | ROLE_CLIENT;

/** In front of every statement. */
const KIND = 0,
  VERSION = 1;

const A_NAME_BYTES = 2,
  A_NETWORK = 3,
  A_SIGNING_KEY = 35,
  A_NOT_BEFORE = 67,
  A_NOT_AFTER = 73,
  A_NAME = 79;
export const AUTHORITY_LAYOUT = {
  kind: [KIND, 1],
  version: [VERSION, 1],
  'name bytes': [A_NAME_BYTES, 1],
  network: [A_NETWORK, NETWORK_ID_BYTES],
  'signing key': [A_SIGNING_KEY, KEY_BYTES],
  'not before': [A_NOT_BEFORE, 6],
  'not after': [A_NOT_AFTER, 6],
} as const;

const Q_NAME_BYTES = 2,
  Q_NODE = 3,
  Q_SIGNING_KEY = 7,
  Q_EXCHANGE_KEY = 39,
  Q_NAME = 71;
export const REQUEST_LAYOUT = {
  kind: [KIND, 1],
  version: [VERSION, 1],
  'name bytes': [Q_NAME_BYTES, 1],
  node: [Q_NODE, 4],
  'signing key': [Q_SIGNING_KEY, KEY_BYTES],
  'exchange key': [Q_EXCHANGE_KEY, KEY_BYTES],
} as const;

const C_ROLES = 2,
  C_NAME_BYTES = 3,
  C_NODE = 4,
  C_SERIAL = 8,
  C_NETWORK = 16,
  C_AUTHORITY = 48,
  C_NOT_BEFORE = 64,
  C_NOT_AFTER = 70,
  C_SIGNING_KEY = 76,
  C_EXCHANGE_KEY = 108,
  C_NAME = 140;
export const CERTIFICATE_LAYOUT = {
  kind: [KIND, 1],
  version: [VERSION, 1],
  roles: [C_ROLES, 1],
  'name bytes': [C_NAME_BYTES, 1],
  node: [C_NODE, 4],
  serial: [C_SERIAL, SERIAL_BYTES],
  network: [C_NETWORK, NETWORK_ID_BYTES],
  authority: [C_AUTHORITY, AUTHORITY_ID_BYTES],
  'not before': [C_NOT_BEFORE, 6],
  'not after': [C_NOT_AFTER, 6],
  'signing key': [C_SIGNING_KEY, KEY_BYTES],
  'exchange key': [C_EXCHANGE_KEY, KEY_BYTES],
} as const;
/** Version 2 of request and certificate: how long the groups behind the name are. */
export const REQUEST_GROUPS_LAYOUT = { ...REQUEST_LAYOUT, 'group bytes': [Q_NAME, 1] } as const;
export const CERTIFICATE_GROUPS_LAYOUT = {
  ...CERTIFICATE_LAYOUT,
  'group bytes': [C_NAME, 1],
} as const;
/**
 * Of one without groups, with the longest name: all that daemons of the release before can read.
 */
export const PLAIN_CERTIFICATE_BYTES_MAX = C_NAME + NAME_MAX + SIGNATURE_BYTES;
/** With the longest name and the most groups. */
export const CERTIFICATE_BYTES_MAX = C_NAME + 1 + NAME_MAX + GROUPS_BYTES_MAX + SIGNATURE_BYTES;

const R_COUNT = 2,
  R_NUMBER = 4,
  R_ISSUED = 10,
  R_NETWORK = 16,
  R_AUTHORITY = 48,
  R_SERIALS = 64;
export const REVOCATIONS_LAYOUT = {
  kind: [KIND, 1],
  version: [VERSION, 1],
  count: [R_COUNT, 2],
  number: [R_NUMBER, 6],
  issued: [R_ISSUED, 6],
  network: [R_NETWORK, NETWORK_ID_BYTES],
  authority: [R_AUTHORITY, AUTHORITY_ID_BYTES],
} as const;
/** With the most serials; no list is longer. */
export const REVOCATIONS_BYTES_MAX = R_SERIALS + REVOCATIONS_MAX * SERIAL_BYTES + SIGNATURE_BYTES;

/** Version 2: how many subjects there are, then the serials, then the subjects. */
const R2_SUBJECT_COUNT = 64,
  R2_SERIALS = 66;
export const REVOCATIONS_SUBJECTS_LAYOUT = {
  ...REVOCATIONS_LAYOUT,
  'subject count': [R2_SUBJECT_COUNT, 2],
} as const;
/** What a subject is named by: the start of a hash. */
export const SUBJECT_ID_BYTES = 12;
const S_UNTIL = SUBJECT_ID_BYTES;
export const SUBJECT_BYTES = 18;
export const SUBJECT_LAYOUT = { subject: [0, SUBJECT_ID_BYTES], until: [S_UNTIL, 6] } as const;
/** Most subjects of one list, when it has no serials. */
export const SUBJECTS_MAX = Math.floor(
  (REVOCATIONS_BYTES_MAX - R2_SERIALS - SIGNATURE_BYTES) / SUBJECT_BYTES,
);

export interface AuthorityFields {
  /** Of the network, 1..63 characters of a node name. */
  readonly name: string;
  /** 32 bytes. */
  readonly network: Uint8Array;
  /** Ed25519 public key, 32 bytes. */
  readonly signingKey: Uint8Array;
  /** Seconds since 1970, u48: valid from this second ... */
  readonly notBeforeS: number;
  /** ... to the one before this. */
  readonly notAfterS: number;
}

/** What an authority says of itself, signed by its own key. */
export interface Authority extends AuthorityFields {
  /** As received, signature included. */
  readonly bytes: Uint8Array;
}

export interface RequestFields {
  readonly name: string;
  /** NO_NODE for a client that is no node. */
  readonly node: NodeId;
  /** Ed25519 public key, 32 bytes. */
  readonly signingKey: Uint8Array;
  /** X25519 public key, 32 bytes. */
  readonly exchangeKey: Uint8Array;
  /**
   * Ascending, none twice; with a comma between two at most GROUPS_BYTES_MAX. A request's are what
   * it would like.
   */
  readonly groups: readonly string[];
}

/** What a node asks an authority to certify, signed by the node's own signing key. */
export interface CertificateRequest extends RequestFields {
  readonly bytes: Uint8Array;
}

export interface CertificateFields extends RequestFields {
  /** 32 bytes. */
  readonly network: Uint8Array;
  /** Id of the authority's key, 16 bytes. */
  readonly authority: Uint8Array;
  /** u64 as 16 lower-case hexadecimal digits, not zero. */
  readonly serial: string;
  /** ROLE_... bits, at least one. */
  readonly roles: number;
  readonly notBeforeS: number;
  readonly notAfterS: number;
}

export interface Certificate extends CertificateFields {
  readonly bytes: Uint8Array;
}

/** A key or a holder of which certificates are revoked, whatever their serials. */
export interface RevokedSubject {
  /** 24 lower-case hexadecimal digits; core/crypto/revoked.ts says of what. */
  readonly subject: string;
  /**
   * Certificates of it whose "not before" is this second or an earlier one are revoked. Seconds
   * since 1970, u48.
   */
  readonly untilS: number;
}

export interface RevocationFields {
  readonly network: Uint8Array;
  readonly authority: Uint8Array;
  /** u48, grows with every list of this authority. */
  readonly number: number;
  /** Seconds since 1970. */
  readonly issuedS: number;
  /** Ascending, without repetition; at most REVOCATIONS_MAX. */
  readonly serials: readonly string[];
  /** Ascending by subject, none twice; together with the serials at most REVOCATIONS_BYTES_MAX. */
  readonly subjects: readonly RevokedSubject[];
}

export interface RevocationList extends RevocationFields {
  readonly bytes: Uint8Array;
}

/** The part of a statement's bytes that is signed. */
export function signedPart(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.length - SIGNATURE_BYTES);
}

export function signaturePart(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bytes.length - SIGNATURE_BYTES);
}

/** True for a serial: 16 lower-case hexadecimal digits, not all zero. */
export function isSerial(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text) && !/^0+$/.test(text);
}

/* ------------------------------------------------------------------ authority */

/** The statement in `b[start..end)`, or what is wrong with it. */
export function decodeAuthority(
  b: Uint8Array,
  start = 0,
  end = b.length,
): Authority | StatementFault {
  const fault =
    headFault(b, start, end, STATEMENT_AUTHORITY, A_NAME) ??
    lengthFault(end - start, A_NAME + b[start + A_NAME_BYTES]! + SIGNATURE_BYTES);
  if (fault !== null) return fault;
  const name = nameAt(b, start + A_NAME, b[start + A_NAME_BYTES]!);
  if (name === null) return 'name';
  const notBeforeS = getU48(b, start + A_NOT_BEFORE),
    notAfterS = getU48(b, start + A_NOT_AFTER);
  if (notBeforeS >= notAfterS) return 'validity';
  return {
    name,
    notBeforeS,
    notAfterS,
    network: piece(b, start + A_NETWORK, NETWORK_ID_BYTES),
    signingKey: piece(b, start + A_SIGNING_KEY, KEY_BYTES),
    bytes: copyOf(b, start, end),
  };
}

/** The part to be signed. */
export function encodeAuthority(fields: AuthorityFields): Uint8Array {
  const { b, name } = begin(STATEMENT_AUTHORITY, A_NAME, fields.name);
  b[A_NAME_BYTES] = name.length;
  b.set(fields.network, A_NETWORK);
  b.set(fields.signingKey, A_SIGNING_KEY);
  putU48(b, A_NOT_BEFORE, fields.notBeforeS);
  putU48(b, A_NOT_AFTER, fields.notAfterS);
  return b;
}

/* ------------------------------------------------------------------ request */

export function decodeRequest(
  b: Uint8Array,
  start = 0,
  end = b.length,
): CertificateRequest | StatementFault {
  const named = namesAt(b, start, end, STATEMENT_REQUEST, Q_NAME, Q_NAME_BYTES);
  if (typeof named === 'string') return named;
  const { name, groups } = named;
  const node = getU32(b, start + Q_NODE);
  if (node !== NO_NODE && !isNodeId(node)) return 'node';
  return {
    name,
    node,
    groups,
    signingKey: piece(b, start + Q_SIGNING_KEY, KEY_BYTES),
    exchangeKey: piece(b, start + Q_EXCHANGE_KEY, KEY_BYTES),
    bytes: copyOf(b, start, end),
  };
}

export function encodeRequest(fields: RequestFields): Uint8Array {
  const { b, name } = beginNamed(STATEMENT_REQUEST, Q_NAME, fields);
  b[Q_NAME_BYTES] = name.length;
  putU32(b, Q_NODE, fields.node);
  b.set(fields.signingKey, Q_SIGNING_KEY);
  b.set(fields.exchangeKey, Q_EXCHANGE_KEY);
  return b;
}

/* ------------------------------------------------------------------ certificate */

export function decodeCertificate(
  b: Uint8Array,
  start = 0,
  end = b.length,
): Certificate | StatementFault {
  const named = namesAt(b, start, end, STATEMENT_CERTIFICATE, C_NAME, C_NAME_BYTES);
  if (typeof named === 'string') return named;
  const { name, groups } = named;
  const roles = b[start + C_ROLES]!;
  if (roles === 0 || (roles & ~ROLES) !== 0) return 'roles';
  const node = getU32(b, start + C_NODE);
  // Only a client that is no node has no id.
  if (!isNodeId(node) && (node !== NO_NODE || (roles & ROLE_ROUTER) !== 0)) return 'node';
  const serial = hex(b.subarray(start + C_SERIAL, start + C_SERIAL + SERIAL_BYTES));
  if (!isSerial(serial)) return 'serial';
  const notBeforeS = getU48(b, start + C_NOT_BEFORE),
    notAfterS = getU48(b, start + C_NOT_AFTER);
  if (notBeforeS >= notAfterS) return 'validity';
  return {
    name,
    node,
    groups,
    roles,
    serial,
    notBeforeS,
    notAfterS,
    network: piece(b, start + C_NETWORK, NETWORK_ID_BYTES),
    authority: piece(b, start + C_AUTHORITY, AUTHORITY_ID_BYTES),
    signingKey: piece(b, start + C_SIGNING_KEY, KEY_BYTES),
    exchangeKey: piece(b, start + C_EXCHANGE_KEY, KEY_BYTES),
    bytes: copyOf(b, start, end),
  };
}

/** The serial of what may be a certificate in `b[start..end)`; '' when it is too short for one. */
export function serialAt(b: Uint8Array, start: number, end: number): string {
  return end - start < C_NAME
    ? ''
    : hex(b.subarray(start + C_SERIAL, start + C_SERIAL + SERIAL_BYTES));
}

export function encodeCertificate(fields: CertificateFields): Uint8Array {
  const { b, name } = beginNamed(STATEMENT_CERTIFICATE, C_NAME, fields);
  b[C_ROLES] = fields.roles;
  b[C_NAME_BYTES] = name.length;
  putU32(b, C_NODE, fields.node);
  putHex(b, C_SERIAL, fields.serial);
  b.set(fields.network, C_NETWORK);
  b.set(fields.authority, C_AUTHORITY);
  putU48(b, C_NOT_BEFORE, fields.notBeforeS);
  putU48(b, C_NOT_AFTER, fields.notAfterS);
  b.set(fields.signingKey, C_SIGNING_KEY);
  b.set(fields.exchangeKey, C_EXCHANGE_KEY);
  return b;
}

/* ------------------------------------------------------------------ revocation list */

export function decodeRevocations(
  b: Uint8Array,
  start = 0,
  end = b.length,
): RevocationList | StatementFault {
  const named = end - start > VERSION && b[start + VERSION] === REVOCATIONS_VERSION_SUBJECTS;
  const serialsAt = named ? R2_SERIALS : R_SERIALS;
  const head = headFault(
    b,
    start,
    end,
    STATEMENT_REVOCATIONS,
    serialsAt,
    named ? REVOCATIONS_VERSION_SUBJECTS : STATEMENT_VERSION,
  );
  if (head !== null) return head;
  const count = getU16(b, start + R_COUNT),
    subjectCount = named ? getU16(b, start + R2_SUBJECT_COUNT) : 0;
  if (count > REVOCATIONS_MAX) return 'too-many-serials';
  const length = revocationBytes(count, subjectCount);
  if (length > REVOCATIONS_BYTES_MAX) return 'too-many-subjects';
  // Without subjects it is a list of version 1: one content has one encoding.
  if (named && subjectCount === 0) return 'version';
  const fault = lengthFault(end - start, length);
  if (fault !== null) return fault;
  const serials: string[] = [];
  // Digits of equal number sort as text as they do as numbers.
  let previous = '',
    at = start + serialsAt;
  for (let i = 0; i < count; i += 1, at += SERIAL_BYTES) {
    const serial = hex(b.subarray(at, at + SERIAL_BYTES));
    if (!isSerial(serial)) return 'serial';
    if (serial <= previous) return 'serials-unsorted';
    serials.push(serial);
    previous = serial;
  }
  const subjects: RevokedSubject[] = [];
  previous = '';
  for (let i = 0; i < subjectCount; i += 1, at += SUBJECT_BYTES) {
    const subject = hex(b.subarray(at, at + SUBJECT_ID_BYTES));
    if (subject <= previous) return 'subjects-unsorted';
    subjects.push({ subject, untilS: getU48(b, at + S_UNTIL) });
    previous = subject;
  }
  return {
    serials,
    subjects,
    number: getU48(b, start + R_NUMBER),
    issuedS: getU48(b, start + R_ISSUED),
    network: piece(b, start + R_NETWORK, NETWORK_ID_BYTES),
    authority: piece(b, start + R_AUTHORITY, AUTHORITY_ID_BYTES),
    bytes: copyOf(b, start, end),
  };
}

export function encodeRevocations(fields: RevocationFields): Uint8Array {
  const { serials, subjects } = fields;
  const named = subjects.length > 0;
  const b = new Uint8Array(revocationBytes(serials.length, subjects.length) - SIGNATURE_BYTES);
  b[KIND] = STATEMENT_REVOCATIONS;
  b[VERSION] = named ? REVOCATIONS_VERSION_SUBJECTS : STATEMENT_VERSION;
  putU16(b, R_COUNT, serials.length);
  putU48(b, R_NUMBER, fields.number);
  putU48(b, R_ISSUED, fields.issuedS);
  b.set(fields.network, R_NETWORK);
  b.set(fields.authority, R_AUTHORITY);
  if (named) putU16(b, R2_SUBJECT_COUNT, subjects.length);
  let at: number = named ? R2_SERIALS : R_SERIALS;
  for (const serial of serials) {
    putHex(b, at, serial);
    at += SERIAL_BYTES;
  }
  for (const { subject, untilS } of subjects) {
    putHex(b, at, subject);
    putU48(b, at + S_UNTIL, untilS);
    at += SUBJECT_BYTES;
  }
  return b;
}

/** Length of a list, with its signature. */
export function revocationBytes(serials: number, subjects: number): number {
  return (
    (subjects > 0 ? R2_SERIALS : R_SERIALS) +
    serials * SERIAL_BYTES +
    subjects * SUBJECT_BYTES +
    SIGNATURE_BYTES
  );
}

/* ------------------------------------------------------------------ shared */

function headFault(
  b: Uint8Array,
  start: number,
  end: number,
  kind: number,
  fixedBytes: number,
  version = STATEMENT_VERSION,
): StatementFault | null {
  if (end - start < fixedBytes + SIGNATURE_BYTES) return 'truncated';
  if (b[start + KIND] !== kind) return 'kind';
  return b[start + VERSION] === version ? null : 'version';
}

function lengthFault(length: number, expected: number): StatementFault | null {
  return length === expected ? null : length < expected ? 'truncated' : 'left-over';
}

function nameAt(b: Uint8Array, at: number, length: number): string | null {
  const name = utf8Decode(b.subarray(at, at + length));
  return name !== null && isNodeName(name) ? name : null;
}

/**
 * Name and groups of a request or certificate, whose fixed part in version 1 has `fixedBytes`; or
 * what is wrong with its lengths and texts.
 */
function namesAt(
  b: Uint8Array,
  start: number,
  end: number,
  kind: number,
  fixedBytes: number,
  nameBytesAt: number,
): { name: string; groups: readonly string[] } | StatementFault {
  const grouped = end - start > VERSION && b[start + VERSION] === VERSION_GROUPS;
  const at = fixedBytes + (grouped ? 1 : 0);
  const head = headFault(b, start, end, kind, at, grouped ? VERSION_GROUPS : STATEMENT_VERSION);
  if (head !== null) return head;
  const nameBytes = b[start + nameBytesAt]!,
    groupBytes = grouped ? b[start + fixedBytes]! : 0;
  const fault = lengthFault(end - start, at + nameBytes + groupBytes + SIGNATURE_BYTES);
  if (fault !== null) return fault;
  const name = nameAt(b, start + at, nameBytes);
  if (name === null) return 'name';
  if (!grouped) return { name, groups: [] };
  const groups =
    utf8Decode(b.subarray(start + at + nameBytes, start + at + nameBytes + groupBytes))?.split(
      ',',
    ) ?? [];
  const sorted = sortedGroups(groups);
  return sorted !== null &&
    sorted.length > 0 &&
    sorted.length === groups.length &&
    sorted.every((group, i) => group === groups[i])
    ? { name, groups }
    : 'groups';
}

function beginNamed(
  kind: number,
  fixedBytes: number,
  { name, groups }: { readonly name: string; readonly groups: readonly string[] },
): { b: Uint8Array; name: Uint8Array } {
  if (groups.length === 0) return begin(kind, fixedBytes, name);
  const text = utf8Encode(groups.join(','));
  const { b, name: bytes } = begin(kind, fixedBytes + 1, name);
  const out = new Uint8Array(b.length + text.length);
  out.set(b);
  out.set(text, b.length);
  out[VERSION] = VERSION_GROUPS;
  out[fixedBytes] = text.length;
  return { b: out, name: bytes };
}

function piece(b: Uint8Array, at: number, length: number): Uint8Array {
  return copyOf(b, at, at + length);
}

function begin(
  kind: number,
  fixedBytes: number,
  text: string,
): { b: Uint8Array; name: Uint8Array } {
  const name = utf8Encode(text);
  const b = new Uint8Array(fixedBytes + name.length);
  b[KIND] = kind;
  b[VERSION] = STATEMENT_VERSION;
  b.set(name, fixedBytes);
  return { b, name };
}

function putHex(b: Uint8Array, at: number, digits: string): void {
  for (let i = 0; 2 * i < digits.length; i += 1)
    b[at + i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
}
