/**
 * Layouts and names of what travels on the wire, as the codecs have them: what the text of a
 * capture and the dissector for Wireshark (examples/wireshark/spines.lua) are made of.
 *
 * Owns no number of its own, but for the heads that the codecs read without a table. The part of
 * the dissector that has these tables is compared with what is here by
 * test/unit/cli/capture/dissector.test.ts.
 */

import { ACK_LAYOUT, ACK_RANGE_LAYOUT } from '../../core/wire/ack.ts';
import { CERTIFICATE_LAYOUT } from '../../core/wire/certificate.ts';
import * as header from '../../core/wire/datagram-header.ts';
import * as discovery from '../../core/wire/discovery.ts';
import * as echo from '../../core/wire/echo.ts';
import { FRAGMENT_LAYOUT } from '../../core/wire/fragment.ts';
import * as frames from '../../core/wire/frames.ts';
import { GROUP_LAYOUT } from '../../core/wire/group.ts';
import { GROUP_ENTRY_LAYOUT, GROUPS_HEAD_LAYOUT } from '../../core/wire/groups.ts';
import { ROUTED_LAYOUT } from '../../core/wire/routed.ts';
import { HANDSHAKE_LAYOUT } from '../../core/wire/handshake.ts';
import * as linkState from '../../core/wire/link-state.ts';
import * as modes from '../../core/wire/modes.ts';
import { NODE_FACTS_LAYOUT } from '../../core/wire/node-facts.ts';
import { NOTICE_LAYOUT } from '../../core/wire/notice.ts';
import * as packet from '../../core/wire/packet.ts';
import { SIZE_LAYOUT, SPLIT_LAYOUT } from '../../core/wire/path-size.ts';
import { PIECE_LAYOUT } from '../../core/wire/piece.ts';
import * as probed from '../../core/wire/probed.ts';
import * as realtime from '../../core/wire/realtime.ts';
import * as record from '../../core/wire/record.ts';
import * as refusal from '../../core/wire/refusal.ts';
import * as revocation from '../../core/wire/revocation.ts';
import { ROUTE_PART_LAYOUT } from '../../core/wire/route-part.ts';
import { COOKIE_LAYOUT, KEY_LAYOUT } from '../../core/wire/sealed-handshake.ts';
import { SEAL_HEAD_LAYOUT } from '../../core/wire/sealed-packet.ts';
import * as segment from '../../core/wire/segment.ts';
import { SEQUENCED_LAYOUT } from '../../core/wire/sequenced.ts';
import { TWIN_LAYOUT } from '../../core/wire/twin.ts';
import { VERSIONS_LAYOUT } from '../../core/wire/versions.ts';

/** Name of a field -> where it begins, and its bytes. Fields follow one another from 0 on. */
export type Layout = Readonly<Record<string, readonly [number, number]>>;

/** What is in front of a datagram in a capture file; CAPTURE.md. */
export const CAPTURE_HEAD_LAYOUT = {
  version: [0, 1],
  flags: [1, 1],
  'wire version': [2, 1],
  'drops bytes': [3, 1],
  node: [4, 4],
  peer: [8, 4],
} as const;
export const CAPTURE_HEAD_BYTES = 12;
export const CAPTURE_HEAD_VERSION = 1;
export const CAPTURE_OUT = 0x01;
export const CAPTURE_OPENED = 0x02;

/** By the name that fields of the dissector have: `spines.hello.loss`. */
export const LAYOUTS = {
  capture: CAPTURE_HEAD_LAYOUT,
  datagram: header.DATAGRAM_HEADER_LAYOUT,
  versions: VERSIONS_LAYOUT,
  handshake: HANDSHAKE_LAYOUT,
  refusal: refusal.REFUSAL_LAYOUT,
  cookie: COOKIE_LAYOUT,
  key: KEY_LAYOUT,
  frame: frames.FRAME_HEAD_LAYOUT,
  hello: frames.HELLO_LAYOUT,
  close: frames.CLOSE_LAYOUT,
  ack: ACK_LAYOUT,
  ack_range: ACK_RANGE_LAYOUT,
  path: frames.PATH_LAYOUT,
  size: SIZE_LAYOUT,
  split: SPLIT_LAYOUT,
  twin: TWIN_LAYOUT,
  reliable: { sequence: [0, 4] },
  realtime: realtime.REALTIME_LAYOUT,
  again: realtime.AGAIN_LAYOUT,
  request: realtime.REALTIME_REQUEST_LAYOUT,
  request_range: realtime.REQUEST_RANGE_LAYOUT,
  repair: realtime.REPAIR_LAYOUT,
  link_state: linkState.LINK_STATE_FRAME_LAYOUT,
  advertisement: linkState.ADVERTISEMENT_LAYOUT,
  link_entry: linkState.LINK_ENTRY_LAYOUT,
  facts: NODE_FACTS_LAYOUT,
  proof: linkState.ADVERTISEMENT_PROOF_LAYOUT,
  version_entry: linkState.VERSION_ENTRY_LAYOUT,
  digest: linkState.DIGEST_HEAD_LAYOUT,
  record: record.RECORD_HEAD_LAYOUT,
  node_record: record.NODE_RECORD_LAYOUT,
  record_entry: record.RECORD_ENTRY_LAYOUT,
  groups: GROUPS_HEAD_LAYOUT,
  group_entry: GROUP_ENTRY_LAYOUT,
  certificate: CERTIFICATE_LAYOUT,
  revocation_offer: revocation.REVOCATION_OFFER_HEAD_LAYOUT,
  revocation_entry: revocation.REVOCATION_ENTRY_LAYOUT,
  revocation_want: revocation.REVOCATION_WANT_LAYOUT,
  revocation_part: revocation.REVOCATION_PART_HEAD_LAYOUT,
  packet: packet.OVERLAY_LAYOUT,
  seal: SEAL_HEAD_LAYOUT,
  fragment: FRAGMENT_LAYOUT,
  piece: PIECE_LAYOUT,
  sequenced: SEQUENCED_LAYOUT,
  group: GROUP_LAYOUT,
  routed: ROUTED_LAYOUT,
  notice: NOTICE_LAYOUT,
  echo: echo.ECHO_LAYOUT,
  segment: segment.SEGMENT_LAYOUT,
  sack: segment.SACK_LAYOUT,
  route_part: ROUTE_PART_LAYOUT,
  route_request: discovery.ROUTE_REQUEST_HEAD_LAYOUT,
  route_weight: discovery.ROUTE_WEIGHT_LAYOUT,
  route_response: discovery.ROUTE_RESPONSE_HEAD_LAYOUT,
  route_hop: discovery.ROUTE_HOP_LAYOUT,
  probed_data: probed.PROBED_DATA_LAYOUT,
  probed_ack: probed.PROBED_ACK_LAYOUT,
} as const satisfies Readonly<Record<string, Layout>>;
export type Structure = keyof typeof LAYOUTS;

/** Fields of 4 bytes that are node ids or groups, by name. */
export const NODE_FIELDS: ReadonlySet<string> = new Set([
  'node',
  'peer',
  'origin',
  'source',
  'destination',
  'group',
  'u',
  'v',
]);

const NO_VALUE = /_(BYTES|MAX|MIN|LAYOUT|DEFAULT|US)$/;

/** Names of the numbers that `codec` exports under `prefix`. */
function namesOf(codec: Readonly<Record<string, unknown>>, prefix: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const [key, value] of Object.entries(codec))
    if (key.startsWith(prefix) && typeof value === 'number' && !NO_VALUE.test(key))
      names.set(value, key.slice(prefix.length));
  return new Map([...names].sort(([a], [b]) => a - b));
}

/** Names of values, by structure and field; of flags, of each bit. */
export const NAMES = {
  datagram: namesOf(header, 'DATAGRAM_'),
  frame: namesOf(frames, 'FRAME_'),
  close: namesOf(frames, 'CLOSE_'),
  hello_flags: namesOf(frames, 'HELLO_'),
  refusal: namesOf(refusal, 'REFUSAL_'),
  kind: namesOf(packet, 'KIND_'),
  service: namesOf(modes, 'SERVICE_'),
  dissemination: namesOf(modes, 'DISSEMINATION_'),
  echo: namesOf(echo, 'ECHO_'),
  segment_flags: namesOf(segment, 'SEGMENT_'),
  reset: namesOf(segment, 'RESET_'),
  route: namesOf(discovery, 'ROUTE_'),
  probed: namesOf(probed, 'PROBED_'),
} as const;

/** Names of the bits of `flags`. */
export function flagNames(names: ReadonlyMap<number, string>, flags: number): string[] {
  return [...names].filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
}
