/**
 * Which groups a node is in: a record of its own kind, in up to four pages. WIRE.md section 16.
 *
 * The head, the entries of acknowledgements and digests, and the signature are those of all records
 * (record.ts); the frames are others, as groups are flooded in networks without identities too.
 * There head and record carry no proof. Who may sign is judged in core/routing/group-records.ts.
 */

import { assert } from '../base/assert.ts';
import { copyOf, getU16, getU32, getU48, putU16, putU32, putU48 } from '../base/bytes.ts';
import { isAnycastId, isGroupId, isNodeId, type NodeId } from '../base/ids.ts';
import { SIGNATURE_BYTES } from './certificate.ts';
import { DropReason } from './drop.ts';
import { CONTROL_CHECK_BYTES } from './link-state.ts';
import {
  putRecordHead,
  RECORD_HEAD_BYTES,
  recordHeadAt,
  recordKey,
  recordProofAt,
  type NamingProof,
} from './record.ts';
import { FRAME_BODY_BYTES_MAX } from './sizes.ts';

/** In the head of these records. */
export const RECORD_GROUPS = 2;
export const GROUP_PAGES = 4;
export const GROUPS_OF_PAGE_MAX = 256;

const INSTANCE = 0,
  COUNT = 6;
/** In front of the groups, behind the head. */
export const GROUPS_HEAD_BYTES = COUNT + 2;
export const GROUPS_HEAD_LAYOUT = { instance: [INSTANCE, 6], count: [COUNT, 2] } as const;
export const GROUP_ENTRY_BYTES = 4;
export const GROUP_ENTRY_LAYOUT = { group: [0, GROUP_ENTRY_BYTES] } as const;

assert(
  RECORD_HEAD_BYTES +
    GROUPS_HEAD_BYTES +
    GROUPS_OF_PAGE_MAX * GROUP_ENTRY_BYTES +
    SIGNATURE_BYTES +
    CONTROL_CHECK_BYTES <=
    FRAME_BODY_BYTES_MAX,
  'a full page fits a frame',
);

export interface GroupsRecord {
  /** Of origin, kind and page: `recordKey`. */
  readonly id: number;
  readonly origin: NodeId;
  /** u48, grows with every change. */
  readonly sequence: number;
  /** Null in a network without identities. */
  readonly proof: NamingProof | null;
  /** u48, of the run of its daemon, as in advertisements. */
  readonly instance: number;
  /** Class D and E, ascending. */
  readonly groups: readonly number[];
  /** What was received, or built by us: flooded as it is. */
  readonly bytes: Uint8Array;
}

/**
 * The record in `b[start..end)`, or the reason why there is none. `signed`: in a network with
 * identities.
 */
export function decodeGroups(
  b: Uint8Array,
  start: number,
  end: number,
  signed: boolean,
): GroupsRecord | DropReason {
  const content = start + RECORD_HEAD_BYTES,
    first = content + GROUPS_HEAD_BYTES;
  if (end < first) return DropReason.groupsMalformed;
  const { kind, page, origin, sequence } = recordHeadAt(b, start);
  const count = getU16(b, content + COUNT);
  const length = first - start + count * GROUP_ENTRY_BYTES + (signed ? SIGNATURE_BYTES : 0);
  if (
    kind !== RECORD_GROUPS ||
    page >= GROUP_PAGES ||
    count > GROUPS_OF_PAGE_MAX ||
    end - start !== length ||
    !isNodeId(origin) ||
    (!signed && hasProof(b, start))
  )
    return DropReason.groupsMalformed;
  const groups: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const group = getU32(b, first + i * GROUP_ENTRY_BYTES);
    if ((!isGroupId(group) && !isAnycastId(group)) || group <= (groups.at(-1) ?? 0))
      return DropReason.groupsMalformed;
    groups.push(group);
  }
  return {
    id: recordKey(origin, RECORD_GROUPS, page),
    origin,
    sequence,
    proof: signed ? recordProofAt(b, start) : null,
    instance: getU48(b, content + INSTANCE),
    groups,
    bytes: copyOf(b, start, end),
  };
}

function hasProof(b: Uint8Array, start: number): boolean {
  const { issuedS, certificate } = recordProofAt(b, start);
  return issuedS !== 0 || certificate.some((byte) => byte !== 0);
}

/** What a record of our own says. */
export interface GroupsStatement {
  readonly origin: NodeId;
  /** 0..GROUP_PAGES - 1. */
  readonly page: number;
  readonly sequence: number;
  readonly instance: number;
  /** At most GROUPS_OF_PAGE_MAX, ascending. */
  readonly groups: readonly number[];
}

/**
 * Builds a record of our own. `signing` null: in a network without identities. `sign` gets
 * everything in front of the signature and returns the 64 bytes of it.
 */
export function makeGroups(
  { origin, page, sequence, instance, groups }: GroupsStatement,
  signing: {
    readonly proof: NamingProof;
    readonly sign: (part: Uint8Array) => Uint8Array;
  } | null,
): GroupsRecord {
  const first = RECORD_HEAD_BYTES + GROUPS_HEAD_BYTES,
    end = first + groups.length * GROUP_ENTRY_BYTES;
  const b = new Uint8Array(end + (signing === null ? 0 : SIGNATURE_BYTES));
  const proof = signing?.proof ?? null;
  putRecordHead(b, { kind: RECORD_GROUPS, page, origin, sequence }, proof);
  putU48(b, RECORD_HEAD_BYTES + INSTANCE, instance);
  putU16(b, RECORD_HEAD_BYTES + COUNT, groups.length);
  groups.forEach((group, index) => putU32(b, first + index * GROUP_ENTRY_BYTES, group));
  if (signing !== null) b.set(signing.sign(b.subarray(0, end)), end);
  return {
    id: recordKey(origin, RECORD_GROUPS, page),
    origin,
    sequence,
    proof,
    instance,
    groups,
    bytes: b,
  };
}
