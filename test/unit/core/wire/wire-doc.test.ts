/** WIRE.md and the code say the same: layouts, values, sizes and drop reasons. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { REPLAY_WINDOW } from '../../../../src/core/base/replay-window.ts';
import * as ack from '../../../../src/core/wire/ack.ts';
import * as header from '../../../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import * as discovery from '../../../../src/core/wire/discovery.ts';
import * as echo from '../../../../src/core/wire/echo.ts';
import * as group from '../../../../src/core/wire/group.ts';
import * as routed from '../../../../src/core/wire/routed.ts';
import * as groups from '../../../../src/core/wire/groups.ts';
import * as fragment from '../../../../src/core/wire/fragment.ts';
import * as frames from '../../../../src/core/wire/frames.ts';
import * as handshake from '../../../../src/core/wire/handshake.ts';
import * as linkState from '../../../../src/core/wire/link-state.ts';
import * as nodeFacts from '../../../../src/core/wire/node-facts.ts';
import * as notice from '../../../../src/core/wire/notice.ts';
import * as packet from '../../../../src/core/wire/packet.ts';
import * as piece from '../../../../src/core/wire/piece.ts';
import * as probed from '../../../../src/core/wire/probed.ts';
import * as realtime from '../../../../src/core/wire/realtime.ts';
import * as record from '../../../../src/core/wire/record.ts';
import * as refusal from '../../../../src/core/wire/refusal.ts';
import * as revocation from '../../../../src/core/wire/revocation.ts';
import * as pathSize from '../../../../src/core/wire/path-size.ts';
import * as routePart from '../../../../src/core/wire/route-part.ts';
import * as sealedPacket from '../../../../src/core/wire/sealed-packet.ts';
import * as sealed from '../../../../src/core/wire/sealed-handshake.ts';
import * as segment from '../../../../src/core/wire/segment.ts';
import * as sequenced from '../../../../src/core/wire/sequenced.ts';
import * as sizes from '../../../../src/core/wire/sizes.ts';
import * as twin from '../../../../src/core/wire/twin.ts';
import * as versions from '../../../../src/core/wire/versions.ts';

type Layout = Readonly<Record<string, readonly [number, number]>>;
const exported: Readonly<Record<string, unknown>> = {
  ...header,
  ...ack,
  ...pathSize,
  ...discovery,
  ...probed,
  ...routePart,
  ...sequenced,
  ...echo,
  ...fragment,
  ...group,
  ...routed,
  ...groups,
  ...frames,
  ...handshake,
  ...linkState,
  ...nodeFacts,
  ...notice,
  ...packet,
  ...piece,
  ...sealedPacket,
  ...realtime,
  ...record,
  ...revocation,
  ...sealed,
  ...segment,
  ...sizes,
  ...refusal,
  ...twin,
  ...versions,
  REPLAY_WINDOW,
};

/** Bytes of each structure with a layout, and the rows of its table whose size varies. */
const STRUCTURES: Readonly<Record<string, { bytes: number; varying?: readonly string[] }>> = {
  DATAGRAM_HEADER: { bytes: sizes.DATAGRAM_HEADER_BYTES },
  HANDSHAKE: { bytes: handshake.HANDSHAKE_BODY_BYTES },
  VERSIONS: { bytes: versions.VERSIONS_BYTES },
  REFUSAL: { bytes: refusal.REFUSAL_BODY_BYTES },
  SEALED_INIT: { bytes: 363 },
  SEALED_RESPONSE: { bytes: 349 },
  COOKIE: { bytes: sealed.COOKIE_DATAGRAM_BYTES - sizes.DATAGRAM_HEADER_BYTES },
  KEY: { bytes: sealed.KEY_DATAGRAM_BYTES - sizes.DATAGRAM_HEADER_BYTES },
  PATH: { bytes: frames.PATH_TOKEN_BYTES },
  SIZE: { bytes: pathSize.SIZE_TOKEN_BYTES },
  TWIN: { bytes: twin.TWIN_BODY_BYTES },
  SPLIT: { bytes: pathSize.SPLIT_HEAD_BYTES, varying: ['piece'] },
  FRAME_HEAD: { bytes: sizes.FRAME_HEAD_BYTES },
  HELLO: { bytes: frames.HELLO_BODY_BYTES },
  CLOSE: { bytes: frames.CLOSE_BODY_BYTES },
  ACK: { bytes: ack.ACK_FIXED_BYTES, varying: ['ranges'] },
  REALTIME: { bytes: realtime.REALTIME_HEAD_BYTES, varying: ['packet'] },
  AGAIN: { bytes: realtime.AGAIN_HEAD_BYTES, varying: ['packet'] },
  REALTIME_REQUEST: { bytes: realtime.REQUEST_HEAD_BYTES },
  REQUEST_RANGE: { bytes: realtime.REQUEST_RANGE_BYTES },
  REPAIR: { bytes: realtime.REPAIR_HEAD_BYTES, varying: ['units'] },
  ACK_RANGE: { bytes: ack.ACK_RANGE_BYTES },
  SEQUENCED: { bytes: sequenced.SEQUENCED_HEAD_BYTES },
  NOTICE: { bytes: notice.NOTICE_BYTES },
  SEGMENT: { bytes: segment.SEGMENT_HEAD_BYTES, varying: ['ranges'] },
  SACK: { bytes: segment.SACK_BYTES },
  OVERLAY: { bytes: sizes.OVERLAY_HEADER_BYTES },
  ADVERTISEMENT: {
    bytes: linkState.ADVERTISEMENT_FIXED_BYTES,
    varying: ['name', 'links', 'facts', 'proof'],
  },
  NODE_FACTS: { bytes: nodeFacts.NODE_FACTS_BYTES },
  ADVERTISEMENT_PROOF: { bytes: linkState.ADVERTISEMENT_PROOF_BYTES },
  RECORD_HEAD: { bytes: record.RECORD_HEAD_BYTES },
  NODE_RECORD: { bytes: record.NODE_RECORD_BYTES },
  GROUPS_HEAD: { bytes: groups.GROUPS_HEAD_BYTES },
  GROUP_ENTRY: { bytes: groups.GROUP_ENTRY_BYTES },
  GROUP: { bytes: group.GROUP_HEAD_BYTES },
  ROUTED: { bytes: routed.ROUTED_HEAD_BYTES },
  RECORD_ENTRY: { bytes: record.RECORD_ENTRY_BYTES },
  LINK_ENTRY: { bytes: linkState.LINK_ENTRY_BYTES },
  LINK_STATE_FRAME: { bytes: linkState.LIFETIME_BYTES, varying: ['advertisement'] },
  VERSION_ENTRY: { bytes: linkState.VERSION_ENTRY_BYTES },
  DIGEST_HEAD: { bytes: linkState.DIGEST_HEAD_BYTES, varying: ['versions'] },
  FRAGMENT: { bytes: fragment.FRAGMENT_HEAD_BYTES },
  PIECE: { bytes: piece.PIECE_HEAD_BYTES },
  SEAL_HEAD: { bytes: sealedPacket.SEAL_HEAD_BYTES },
  ECHO: { bytes: echo.ECHO_HEAD_BYTES },
  REVOCATION_OFFER_HEAD: { bytes: revocation.REVOCATION_OFFER_HEAD_BYTES, varying: ['entries'] },
  REVOCATION_ENTRY: { bytes: revocation.REVOCATION_ENTRY_BYTES },
  REVOCATION_WANT: { bytes: revocation.REVOCATION_WANT_BYTES },
  ROUTE_PART: { bytes: routePart.ROUTE_PART_HEAD_BYTES },
  ROUTE_REQUEST_HEAD: { bytes: discovery.ROUTE_REQUEST_HEAD_BYTES },
  ROUTE_WEIGHT: { bytes: discovery.ROUTE_WEIGHT_BYTES },
  ROUTE_RESPONSE_HEAD: { bytes: discovery.ROUTE_RESPONSE_HEAD_BYTES },
  ROUTE_HOP: { bytes: discovery.ROUTE_HOP_BYTES },
  PROBED_DATA: { bytes: probed.PROBED_DATA_HEAD_BYTES },
  PROBED_ACK: { bytes: probed.PROBED_ACK_HEAD_BYTES },
  REVOCATION_PART_HEAD: { bytes: revocation.REVOCATION_PART_HEAD_BYTES, varying: ['bytes'] },
};

/** Names that begin like a registry's but are no values of it. */
const NO_VALUES = /_(BYTES|MAX|MIN|LAYOUT|DEFAULT|US)$|_BYTES_MAX$/;
const REGISTRIES: Readonly<Record<string, readonly string[]>> = {
  DATAGRAM: [],
  FRAME: [],
  HELLO: [],
  CLOSE: [],
  KIND: [],
  SERVICE: [],
  DISSEMINATION: [],
  ECHO: [],
  SEGMENT: [],
  ROUTE: [],
  PROBED: [],
  REFUSAL: [],
  RESET: [],
};

interface Table {
  readonly kind: string;
  readonly name: string;
  readonly rows: readonly (readonly string[])[];
}

/** Tables that follow a marker comment, in the order of the document. */
function tablesOf(document: string): Table[] {
  const tables: Table[] = [];
  for (const match of document.matchAll(/<!-- (\w+)(?:: (\w+))? -->\n((?:\|.*\|\n)+)/g)) {
    const rows = match[3]!
      .trim()
      .split('\n')
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      );
    tables.push({ kind: match[1]!, name: match[2] ?? '', rows: rows.slice(2) });
  }
  return tables;
}

/** Everything in which document and code differ. */
function differences(document: string): string[] {
  const faults: string[] = [];
  const tables = tablesOf(document);
  const find = (kind: string, name = ''): Table => {
    const found = tables.filter((table) => table.kind === kind && table.name === name);
    if (found.length !== 1) faults.push(`${kind} ${name}: ${found.length} tables`);
    return found[0] ?? { kind, name, rows: [] };
  };

  for (const key of Object.keys(exported).filter((k) => k.endsWith('_LAYOUT'))) {
    const name = key.slice(0, -'_LAYOUT'.length);
    if (STRUCTURES[name] === undefined) faults.push(`${key} is not compared`);
  }
  for (const [name, { bytes, varying = [] }] of Object.entries(STRUCTURES)) {
    const layout = exported[`${name}_LAYOUT`] as Layout;
    const { rows } = find('layout', name);
    const fixed = rows.filter((row) => /^\d+$/.test(row[0]!) && /^\d+$/.test(row[1]!));
    const said = fixed.map((row) => `${row[2]} at ${row[0]}, ${row[1]} bytes`);
    const meant = Object.entries(layout).map(
      ([field, [at, length]]) => `${field} at ${at}, ${length} bytes`,
    );
    if (said.join('; ') !== meant.join('; '))
      faults.push(`${name}: "${said.join('; ')}" is not "${meant.join('; ')}"`);
    if (
      rows
        .slice(fixed.length)
        .map((row) => row[2])
        .join() !== varying.join()
    )
      faults.push(`${name}: rows that vary`);
    let end = 0;
    for (const [field, [at, length]] of Object.entries(layout)) {
      if (at !== end) faults.push(`${name}: ${field} begins at ${at}, not ${end}`);
      end = at + length;
    }
    if (end !== bytes) faults.push(`${name}: has ${bytes} bytes, its fields ${end}`);
  }

  for (const name of Object.keys(REGISTRIES)) {
    const said = find('values', name).rows.map((row) => `${row[1]} = ${Number(row[0])}`);
    const meant = Object.entries(exported)
      .filter(
        ([key, value]) =>
          key.startsWith(`${name}_`) && typeof value === 'number' && !NO_VALUES.test(key),
      )
      .map(([key, value]) => `${key.slice(name.length + 1)} = ${String(value)}`);
    if ([...said].sort().join() !== [...meant].sort().join())
      faults.push(`${name}: "${said.join()}" is not "${meant.join()}"`);
  }

  const reserved = find('reserved').rows.map((row) => `${row[0]} ${Number(row[1])} ${row[2]}`);
  const given = versions.RESERVED_NUMBERS.map(
    ({ space, value, name }) => `${space} ${value} ${name}`,
  );
  if (reserved.join() !== given.join())
    faults.push(`reserved: "${reserved.join()}" is not "${given.join()}"`);
  for (const { space, value } of versions.RESERVED_NUMBERS) {
    const used = Object.entries(exported).find(
      ([key, number]) =>
        key.startsWith(`${space.toUpperCase()}_`) && number === value && !NO_VALUES.test(key),
    );
    if (used !== undefined) faults.push(`${used[0]} has a number that is reserved`);
  }

  const constants = new Map(find('constants').rows.map((row) => [row[0]!, Number(row[1])]));
  for (const [name, value] of constants)
    if (exported[name] !== value) faults.push(`${name} is ${String(exported[name])}, not ${value}`);
  for (const [name, value] of Object.entries(exported)) {
    if (typeof value === 'number' && /_BYTES(_MAX)?$/.test(name) && !constants.has(name))
      faults.push(`${name} is missing`);
  }

  for (const [what, unsealed, sealed, parts] of find('overhead').rows) {
    const sum = parts!.split('+').reduce((total, part) => total + Number(part), 0);
    const tag = /^(every further packet|handshake)|sharing a datagram$/.test(what!)
      ? 0
      : sizes.TAG_BYTES;
    if (parseInt(unsealed!, 10) !== sum)
      faults.push(`${what}: ${parts} is ${sum}, not ${unsealed}`);
    if (parseInt(sealed!, 10) !== sum + tag)
      faults.push(`${what}: sealed is ${sum + tag}, not ${sealed}`);
    if (unsealed!.replace(/^\d+/, '') !== sealed!.replace(/^\d+/, ''))
      faults.push(`${what}: the variable parts differ`);
  }

  // A camel-case word in code style is a drop reason.
  for (const match of document.matchAll(/`([a-z]+[A-Z]\w*)`/g)) {
    if (!(match[1]! in DropReason)) faults.push(`${match[1]} is no drop reason`);
  }
  return faults;
}

const document = readFileSync(
  fileURLToPath(new URL('../../../../src/core/wire/WIRE.md', import.meta.url)),
  'utf8',
);

describe('WIRE.md', () => {
  test('agrees with the code', () => expect(differences(document)).toEqual([]));

  const doctored: [string, string | RegExp, string][] = [
    ['an offset', '| 2 | 4 | receiver index |', '| 3 | 4 | receiver index |'],
    ['a length', '| 16 | 6 | instance |', '| 16 | 8 | instance |'],
    ['a field', '| 8 | 4 | echo |', '| 8 | 4 | answer |'],
    ['a missing row', /\| 12 \| 4 \| held .*\n/, ''],
    ['a row too many', /(\| 4 \| 4 \| id .*\n)/, '$1| 8 | 2 | more | none |\n'],
    ['rows in another order', /(\| 4 \| 4 \| source .*\n)(\| 8 \| 4 \| destination .*\n)/, '$2$1'],
    ['a missing varying row', /\| 13 \+ n .*\n/, ''],
    ['a missing table', '<!-- layout: FRAGMENT -->', ''],
    ['a table twice', '<!-- layout: FRAGMENT -->', '<!-- layout: ECHO -->'],
    ['a frame type', '| 0x11 | LINK_STATE_ACK |', '| 0x13 | LINK_STATE_ACK |'],
    ['a missing value', /\| 3 \| EXPIRED .*\n/, ''],
    ['a reserved number', '| kind | 10 | FLOW |', '| kind | 12 | FLOW |'],
    ['a size', '| PACKET_BYTES_MAX | 1416 |', '| PACKET_BYTES_MAX | 1420 |'],
    ['a missing size', /\| LIFETIME_BYTES .*\n/, ''],
    ['a size that the code does not have', '| TAG_BYTES |', '| LABEL_BYTES |'],
    ['a sum of the overhead table', '| close | 44 |', '| close | 45 |'],
    ['a sealed sum', '| 44 | 60 |', '| 44 | 59 |'],
    ['a flag of segments', '| 0x10 | MARKED |', '| 0x40 | MARKED |'],
    ['a field of segments', '| 14 | 6 | ack |', '| 14 | 6 | acked |'],
    ['a field of revocations', '| 22 | 4 | missing |', '| 22 | 4 | missed |'],
    ['a field of route responses', '| 51 | 32 | key |', '| 51 | 32 | public key |'],
    ['a field of probed packets', '| 16 | 6 | counter |', '| 16 | 8 | counter |'],
    ['a type of discovery', '| 3 | REQUEST | the source', '| 5 | REQUEST | the source'],
    ['a field of facts', '| 6 | 4 | capabilities |', '| 6 | 2 | capabilities |'],
    ['a field of twins', '| 12 | 16 | address | where', '| 12 | 14 | address | where'],
    ['a field of requests', '| 4 | 4 | first | the low', '| 4 | 6 | first | the low'],
    ['a field of repairs', '| 2 | 4 | covered |', '| 2 | 4 | covers |'],
    ['a capability', '| capability | 0x1 |', '| capability | 0x10 |'],
    ['a drop reason', '`linkStateStale`', '`linkStateOld`'],
  ];
  test.each(doctored)('%s that is wrong is noticed', (_what, from, to) => {
    const wrong = document.replace(from, to);
    expect(wrong).not.toBe(document);
    expect(differences(wrong)).not.toEqual([]);
  });

  test('says where each drop reason of the wire comes from', () => {
    // Queues of this machine and clients are no matter of the wire.
    const elsewhere = new Set([
      'none',
      'sinkFull',
      'sendRefused',
      'probedLost',
      'datagramAboveMtu',
      'loopbackFull',
      'clientFrameMalformed',
      'clientSocketUnknown',
      'clientRefused',
      'clientUnauthenticated',
      'clientOverRate',
      'firewallTarget',
      'firewallClient',
    ]);
    expect(
      Object.keys(DropReason).filter(
        (name) => !elsewhere.has(name) && !document.includes(`\`${name}\``),
      ),
    ).toEqual([]);
  });

  test('no two drop reasons share a number, and so a counter', () => {
    expect(new Set(Object.values(DropReason)).size).toBe(Object.keys(DropReason).length);
  });

  test('names what a full packet needs', () => {
    expect(sizes.PACKET_BYTES_MAX + sizes.RELIABLE_HEAD_BYTES).toBeLessThanOrEqual(
      sizes.FRAME_BODY_BYTES_MAX,
    );
    expect(
      linkState.LIFETIME_BYTES +
        linkState.ADVERTISEMENT_FIXED_BYTES +
        linkState.NAME_BYTES_MAX +
        linkState.LINKS_PER_NODE_MAX * linkState.LINK_ENTRY_BYTES +
        nodeFacts.NODE_FACTS_BYTES +
        linkState.CONTROL_CHECK_BYTES,
    ).toBe(1128);
  });
});
