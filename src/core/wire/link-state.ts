/**
 * Link-state frames: the advertisement of one node, its acknowledgement, and the digest of a
 * database. WIRE.md section 5.
 *
 * An advertisement is decoded into a fresh object (control plane, rare) that keeps its own copy of
 * the received bytes: those are what is flooded on, never a re-encoding. Entries are sorted by node
 * id, so that there is one encoding for one content. In a network with identities a proof ends it;
 * who may sign is judged in core/routing/signed-advertisement.ts.
 */

import { assert } from '../base/assert.ts';
import {
  checksum,
  copyOf,
  getU16,
  getU32,
  getU48,
  putU16,
  putU32,
  putU48,
  utf8Decode,
  utf8Encode,
} from '../base/bytes.ts';
import { isNodeId, isNodeName, type NodeId } from '../base/ids.ts';
import {
  PLAIN_CERTIFICATE_BYTES_MAX,
  CERTIFICATE_HASH_BYTES,
  SIGNATURE_BYTES,
} from './certificate.ts';
import { DropReason } from './drop.ts';
import { NODE_FACTS_BYTES, nodeFactsAt, putNodeFacts, type NodeFacts } from './node-facts.ts';
import { FRAME_BODY_BYTES_MAX } from './sizes.ts';

const ORIGIN = 0,
  SEQUENCE = 4,
  FLAGS = 10,
  NAME_BYTES = 11,
  LINK_COUNT = 12,
  NAME = 13;
export const ADVERTISEMENT_FIXED_BYTES = NAME;
export const ADVERTISEMENT_LAYOUT = {
  origin: [ORIGIN, 4],
  sequence: [SEQUENCE, 6],
  flags: [FLAGS, 1],
  'name bytes': [NAME_BYTES, 1],
  'link count': [LINK_COUNT, 1],
} as const;
const LINK_NODE = 0,
  LINK_LATENCY = 4,
  LINK_LOSS = 6;
export const LINK_ENTRY_BYTES = 8;
export const LINK_ENTRY_LAYOUT = {
  node: [LINK_NODE, 4],
  latency: [LINK_LATENCY, 2],
  loss: [LINK_LOSS, 2],
} as const;

const ISSUED = 0,
  CERTIFICATE = 6,
  SIGNATURE = CERTIFICATE + CERTIFICATE_HASH_BYTES;
/** Where the certificate itself is in it: its length, and its bytes. */
const WHOLE_BYTES = 6,
  WHOLE = 8;
/** Behind the links, and the facts, of a signed advertisement. */
export const ADVERTISEMENT_PROOF_BYTES = SIGNATURE + SIGNATURE_BYTES;
export const ADVERTISEMENT_PROOF_LAYOUT = {
  issued: [ISSUED, 6],
  certificate: [CERTIFICATE, CERTIFICATE_HASH_BYTES],
  signature: [SIGNATURE, SIGNATURE_BYTES],
} as const;

/** The origin is going away on purpose: forget it now. */
export const ADVERTISEMENT_LEAVING = 0x01;
/** A proof ends it, and the name is the certificate's. */
export const ADVERTISEMENT_SIGNED = 0x02;
/** What the origin says of itself follows the links. */
export const ADVERTISEMENT_FACTS = 0x04;
/**
 * The proof names the certificate; without it the certificate is in there, for nodes of the release
 * before.
 */
export const ADVERTISEMENT_NAMES = 0x08;
/** Most links of one node. */
export const LINKS_PER_NODE_MAX = 128;
export const NAME_BYTES_MAX = 63;
export const SEQUENCE_MAX = 0xffff_ffff_ffff;
/** Unit of `latency` on the wire, microseconds. */
export const LATENCY_UNIT_US = 100;

export interface AdvertisedLink {
  node: NodeId;
  /** One way, in units of 100 us, 0..65535. */
  latency: number;
  /** Loss away from the origin, in 1/65535. */
  loss: number;
}

/**
 * When something was signed, and under which certificate. Says nothing about whether it is true.
 */
export interface Proof {
  /** Seconds since 1970, by the origin's clock. */
  readonly issuedS: number;
  /**
   * SHA-256 of the origin's certificate, which travels on its own; null where `whole` is the
   * certificate.
   */
  readonly certificate: Uint8Array | null;
  readonly whole: Uint8Array | null;
}

export interface Advertisement {
  readonly origin: NodeId;
  /** u48, grows with every change. */
  readonly sequence: number;
  readonly leaving: boolean;
  /** Of a signed one: empty until the certificate is believed, then the name in it. */
  readonly name: string;
  readonly links: readonly AdvertisedLink[];
  /** Null when it says nothing of itself. */
  readonly facts: NodeFacts | null;
  /** Null when it is not signed. */
  readonly proof: Proof | null;
  /** What was received, or built by us: flooded as it is. */
  readonly bytes: Uint8Array;
}

/** The advertisement in `b[start..end)`, or the reason why there is none. */
export function decodeAdvertisement(
  b: Uint8Array,
  start: number,
  end: number,
): Advertisement | DropReason {
  if (end - start < ADVERTISEMENT_FIXED_BYTES) return DropReason.linkStateMalformed;
  const nameBytes = b[start + NAME_BYTES]!;
  const linkCount = b[start + LINK_COUNT]!;
  const flags = b[start + FLAGS]!;
  const origin = getU32(b, start + ORIGIN);
  if (nameBytes > NAME_BYTES_MAX || linkCount > LINKS_PER_NODE_MAX)
    return DropReason.linkStateMalformed;
  if (
    (flags &
      ~(
        ADVERTISEMENT_LEAVING |
        ADVERTISEMENT_SIGNED |
        ADVERTISEMENT_FACTS |
        ADVERTISEMENT_NAMES
      )) !==
    0
  )
    return DropReason.reservedNotZero;
  const signed = (flags & ADVERTISEMENT_SIGNED) !== 0;
  const linksEnd = ADVERTISEMENT_FIXED_BYTES + nameBytes + linkCount * LINK_ENTRY_BYTES;
  const factual = (flags & ADVERTISEMENT_FACTS) !== 0;
  const bodyBytes = linksEnd + (factual ? NODE_FACTS_BYTES : 0);
  const names = (flags & ADVERTISEMENT_NAMES) !== 0;
  const proof = signed ? proofAt(b, start + bodyBytes, end, names) : null;
  if (signed ? proof === null || nameBytes !== 0 : names || end - start !== bodyBytes)
    return DropReason.linkStateMalformed;
  const facts = factual ? nodeFactsAt(b, start + linksEnd) : null;
  if (!isNodeId(origin) || (factual && facts === null)) return DropReason.linkStateMalformed;
  const name = utf8Decode(b.subarray(start + NAME, start + NAME + nameBytes));
  if (name === null || (name !== '' && !isNodeName(name))) return DropReason.linkStateMalformed;
  const links: AdvertisedLink[] = [];
  let previous = 0;
  for (let i = 0, at = start + NAME + nameBytes; i < linkCount; i += 1, at += LINK_ENTRY_BYTES) {
    const node = getU32(b, at + LINK_NODE);
    if (!isNodeId(node) || node <= previous || node === origin)
      return DropReason.linkStateMalformed;
    previous = node;
    links.push({ node, latency: getU16(b, at + LINK_LATENCY), loss: getU16(b, at + LINK_LOSS) });
  }
  return {
    origin,
    sequence: getU48(b, start + SEQUENCE),
    leaving: (flags & ADVERTISEMENT_LEAVING) !== 0,
    name,
    links,
    facts,
    proof,
    bytes: copyOf(b, start, end),
  };
}

/** The proof at `b[at..end)`, or null when the lengths do not fit. */
function proofAt(b: Uint8Array, at: number, end: number, names: boolean): Proof | null {
  if (names)
    return end - at !== ADVERTISEMENT_PROOF_BYTES
      ? null
      : {
          issuedS: getU48(b, at + ISSUED),
          certificate: copyOf(b, at + CERTIFICATE, at + SIGNATURE),
          whole: null,
        };
  if (end - at < WHOLE + SIGNATURE_BYTES) return null;
  const bytes = getU16(b, at + WHOLE_BYTES);
  if (bytes > PLAIN_CERTIFICATE_BYTES_MAX || end - at !== WHOLE + bytes + SIGNATURE_BYTES)
    return null;
  return {
    issuedS: getU48(b, at + ISSUED),
    certificate: null,
    whole: copyOf(b, at + WHOLE, at + WHOLE + bytes),
  };
}

/** Builds an advertisement of our own. `links` are sorted by node id, without repetition. */
export function makeAdvertisement(
  origin: NodeId,
  sequence: number,
  leaving: boolean,
  name: string,
  links: readonly AdvertisedLink[],
  facts: NodeFacts | null = null,
): Advertisement {
  const nameUtf8 = utf8Encode(name);
  const b = new Uint8Array(
    ADVERTISEMENT_FIXED_BYTES +
      nameUtf8.length +
      links.length * LINK_ENTRY_BYTES +
      (facts === null ? 0 : NODE_FACTS_BYTES),
  );
  putBody(b, origin, sequence, leaving ? ADVERTISEMENT_LEAVING : 0, nameUtf8, links, facts);
  return { origin, sequence, leaving, name, links, facts, proof: null, bytes: b };
}

/** What a signed advertisement is made of. */
export interface SignedContent extends Proof {
  readonly origin: NodeId;
  readonly sequence: number;
  readonly leaving: boolean;
  /** As in the certificate. */
  readonly name: string;
  readonly links: readonly AdvertisedLink[];
  readonly facts: NodeFacts | null;
}

/**
 * Builds a signed advertisement. `sign` gets everything in front of the signature and returns the
 * 64 bytes of it.
 */
export function makeSignedAdvertisement(
  content: SignedContent,
  sign: (part: Uint8Array) => Uint8Array,
): Advertisement {
  const { origin, sequence, leaving, name, links, facts, issuedS, certificate, whole } = content;
  const at =
    ADVERTISEMENT_FIXED_BYTES +
    links.length * LINK_ENTRY_BYTES +
    (facts === null ? 0 : NODE_FACTS_BYTES);
  const signatureAt = at + (certificate === null ? WHOLE + whole!.length : SIGNATURE);
  const b = new Uint8Array(signatureAt + SIGNATURE_BYTES);
  const flags =
    ADVERTISEMENT_SIGNED |
    (leaving ? ADVERTISEMENT_LEAVING : 0) |
    (certificate === null ? 0 : ADVERTISEMENT_NAMES);
  putBody(b, origin, sequence, flags, new Uint8Array(0), links, facts);
  putU48(b, at + ISSUED, issuedS);
  if (certificate !== null) b.set(certificate, at + CERTIFICATE);
  else {
    putU16(b, at + WHOLE_BYTES, whole!.length);
    b.set(whole!, at + WHOLE);
  }
  b.set(sign(b.subarray(0, signatureAt)), signatureAt);
  return {
    origin,
    sequence,
    leaving,
    name,
    links,
    facts,
    proof: { issuedS, certificate, whole },
    bytes: b,
  };
}

function putBody(
  b: Uint8Array,
  origin: NodeId,
  sequence: number,
  flags: number,
  name: Uint8Array,
  links: readonly AdvertisedLink[],
  facts: NodeFacts | null,
): void {
  putU32(b, ORIGIN, origin);
  putU48(b, SEQUENCE, sequence);
  b[FLAGS] = flags | (facts === null ? 0 : ADVERTISEMENT_FACTS);
  b[NAME_BYTES] = name.length;
  b[LINK_COUNT] = links.length;
  b.set(name, NAME);
  let at = NAME + name.length;
  for (const link of links) {
    putU32(b, at + LINK_NODE, link.node);
    putU16(b, at + LINK_LATENCY, link.latency);
    putU16(b, at + LINK_LOSS, link.loss);
    at += LINK_ENTRY_BYTES;
  }
  if (facts !== null) putNodeFacts(facts, b, at);
}

/*
 * ------------------------------------------------------------------ link-state frame, ack, digest
 */

/** In front of the advertisement in a LINK_STATE frame: seconds it may still be believed. */
export const LIFETIME_BYTES = 2;
export const LINK_STATE_FRAME_LAYOUT = { lifetime: [0, LIFETIME_BYTES] } as const;

const ENTRY_ORIGIN = 0,
  ENTRY_SEQUENCE = 4;
/** Origin and sequence: an entry of an ack or a digest. */
export const VERSION_ENTRY_BYTES = 10;
export const VERSION_ENTRY_LAYOUT = {
  origin: [ENTRY_ORIGIN, 4],
  sequence: [ENTRY_SEQUENCE, 6],
} as const;
/** Flags in front of a digest's entries. */
export const DIGEST_HEAD_BYTES = 1;
export const DIGEST_HEAD_LAYOUT = { flags: [0, 1] } as const;
export const DIGEST_LAST = 0x01;

export function putVersionEntry(
  b: Uint8Array,
  at: number,
  origin: NodeId,
  sequence: number,
): number {
  putU32(b, at + ENTRY_ORIGIN, origin);
  putU48(b, at + ENTRY_SEQUENCE, sequence);
  return at + VERSION_ENTRY_BYTES;
}

export function versionEntryOrigin(b: Uint8Array, at: number): NodeId {
  return getU32(b, at + ENTRY_ORIGIN);
}

export function versionEntrySequence(b: Uint8Array, at: number): number {
  return getU48(b, at + ENTRY_SEQUENCE);
}

/**
 * Behind the body of every link-state, ack and digest frame: checksum of what is in front of it.
 */
export const CONTROL_CHECK_BYTES = 4;

const SIGNED_FRAME_MAX =
  LIFETIME_BYTES +
  ADVERTISEMENT_FIXED_BYTES +
  LINKS_PER_NODE_MAX * LINK_ENTRY_BYTES +
  NODE_FACTS_BYTES +
  WHOLE +
  PLAIN_CERTIFICATE_BYTES_MAX +
  SIGNATURE_BYTES +
  CONTROL_CHECK_BYTES;
assert(
  SIGNED_FRAME_MAX <= FRAME_BODY_BYTES_MAX,
  'a signed advertisement with the most links and the longest certificate without groups must ' +
    'fit a frame',
);

/** Writes the check of a control frame's body `b[start..at)` at `at`. */
export function putControlCheck(b: Uint8Array, start: number, at: number): void {
  putU32(b, at, checksum(b, start, at));
}

/** True when the body `b[start..end)`, check included, is undamaged. */
export function controlIntact(b: Uint8Array, start: number, end: number): boolean {
  const at = end - CONTROL_CHECK_BYTES;
  return at >= start && getU32(b, at) === checksum(b, start, at);
}
