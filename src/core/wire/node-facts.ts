/**
 * What a node says of itself to all others: wire versions, release, capabilities and which run of
 * its daemon it is. WIRE.md section 5.
 *
 * Owns these bytes wherever they travel (so far in its advertisement), and what the capabilities
 * are. Nothing of it says how a link is spoken, which its two ends agree on; it says what several
 * nodes can rely on. Bits that are not known here are carried and shown, never refused.
 */

import { getU16, getU32, getU48, putU16, putU32, putU48 } from '../base/bytes.ts';
import { RESERVED_NUMBERS } from './reserved.ts';
import { isVersionRange, putVersions, versionsAt, type VersionRange } from './versions.ts';

const VERSIONS = 0,
  MAJOR = 2,
  MINOR = 3,
  PATCH = 4,
  CAPABILITIES = 6,
  INSTANCE = 10,
  STARTED = 16;
export const NODE_FACTS_BYTES = 22;
export const NODE_FACTS_LAYOUT = {
  min: [VERSIONS, 1],
  max: [VERSIONS + 1, 1],
  major: [MAJOR, 1],
  minor: [MINOR, 1],
  patch: [PATCH, 2],
  capabilities: [CAPABILITIES, 4],
  instance: [INSTANCE, 6],
  started: [STARTED, 6],
} as const;

/** Of the software: u8, u8, u16. */
export interface Release {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

export interface NodeFacts {
  /** Wire versions that it speaks. */
  readonly wire: VersionRange;
  readonly release: Release;
  /** u32, the sum of its capabilities; 0 none. */
  readonly capabilities: number;
  /** u48, drawn at the daemon's start, as in handshakes. */
  readonly instance: number;
  /** When that was, u48, units of 100 us since 1970 by the node's clock. */
  readonly started: number;
}

/**
 * Among the capabilities and none of them. The node has learned that another daemon runs with its
 * identity; or that other daemon says this for the node, to see whether it is still there.
 */
export const IDENTITY_TWICE = 0x4000_0000;
export const IDENTITY_ASKED = 0x2000_0000;

/**
 * Among the capabilities and none of them, too: the node carries nothing for others. Routes end at
 * it, or begin there. WIRE.md section 5.
 */
export const NO_TRANSIT = 0x1000_0000;

/**
 * What is sealed for this node from end to end may be sealed by AES-256-GCM, and costs it less so.
 * WIRE.md section 15.
 */
export const AES_SEALS = 0x10;

/**
 * It forwards and takes packets of the realtime service, and such with a deadline. WIRE.md section
 * 4.
 */
export const REALTIME = 0x20;

/**
 * It takes part in groups: forwards what is sent to them, and floods who is in which. WIRE.md
 * section 16.
 */
export const GROUPS = 0x2;

/**
 * It forwards and takes packets that carry the graph of their ways. WIRE.md section 17.
 */
export const ROUTED = 0x4;

/** It goes by what nodes say of transit: none of its routes leads through one with NO_TRANSIT. */
export const TRANSIT = 0x40;

/** Capabilities of this release. AES_SEALS is said only where the machine is fast at it. */
export const OWN_CAPABILITIES = AES_SEALS | REALTIME | GROUPS | ROUTED | TRANSIT;

/** Bits that are no capabilities. */
const MARKS = IDENTITY_TWICE | IDENTITY_ASKED | NO_TRANSIT;

/** Names of those in use. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [AES_SEALS, 'AES_SEALS'],
  [REALTIME, 'REALTIME'],
  [GROUPS, 'GROUPS'],
  [ROUTED, 'ROUTED'],
  [TRANSIT, 'TRANSIT'],
]);

/** The facts at `at`; null when the range of versions is none. */
export function nodeFactsAt(b: Uint8Array, at: number): NodeFacts | null {
  const wire = versionsAt(b, at + VERSIONS);
  if (!isVersionRange(wire)) return null;
  return {
    wire,
    release: { major: b[at + MAJOR]!, minor: b[at + MINOR]!, patch: getU16(b, at + PATCH) },
    capabilities: getU32(b, at + CAPABILITIES),
    instance: getU48(b, at + INSTANCE),
    started: getU48(b, at + STARTED),
  };
}

export function putNodeFacts(
  { wire, release, capabilities, instance, started }: NodeFacts,
  b: Uint8Array,
  at: number,
): void {
  putVersions(b, at + VERSIONS, wire);
  b[at + MAJOR] = release.major;
  b[at + MINOR] = release.minor;
  putU16(b, at + PATCH, release.patch);
  putU32(b, at + CAPABILITIES, capabilities);
  putU48(b, at + INSTANCE, instance);
  putU48(b, at + STARTED, started);
}

/**
 * Of "1.2.3", or "1.2.3-rc.1", which counts as 1.2.3. A number beyond what there is room for is the
 * highest that fits.
 */
export function releaseOf(version: string): Release {
  const [major = 0, minor = 0, patch = 0] = version
    .split(/[-+]/)[0]!
    .split('.')
    .map((part) => Number(part) || 0);
  return {
    major: Math.min(0xff, major),
    minor: Math.min(0xff, minor),
    patch: Math.min(0xffff, patch),
  };
}

export function releaseText({ major, minor, patch }: Release): string {
  return `${major}.${minor}.${patch}`;
}

/**
 * Names of the bits in `capabilities`, lowest first; one that is not known here is its number
 * ("0x80").
 */
export function capabilityNames(capabilities: number): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit += 1) {
    const value = 2 ** bit;
    if ((value & MARKS) !== 0 || !hasCapability(capabilities, value)) continue;
    names.push(
      NAMES.get(value) ??
        RESERVED_NUMBERS.find((one) => one.space === 'capability' && one.value === value)?.name ??
        `0x${value.toString(16)}`,
    );
  }
  return names;
}

/** Whether a node that says this of itself carries packets of others; null: it says nothing. */
export function carriesTransit(facts: Pick<NodeFacts, 'capabilities'> | null | undefined): boolean {
  return facts == null || !hasCapability(facts.capabilities, NO_TRANSIT);
}

/** True when all bits of `wanted` are in `capabilities`. */
export function hasCapability(capabilities: number, wanted: number): boolean {
  return (capabilities & wanted) >>> 0 === wanted >>> 0;
}
