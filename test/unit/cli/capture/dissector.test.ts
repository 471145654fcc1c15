/**
 * The dissector for Wireshark and our own reading of datagrams: made of the same tables, complete,
 * and agreed field by field, on one of everything and on what daemons really say.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { CapturedDatagram } from '../../../../spines-client/src/shared/capture.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { dissect, type Part } from '../../../../src/cli/capture/dissect.ts';
import { CAPTURE_HEAD_LAYOUT, NAMES } from '../../../../src/cli/capture/layouts.ts';
import { PcapngWriter, withHead } from '../../../../src/cli/capture/pcapng.ts';
import { captureOf } from '../../../support/capturing.ts';
import { dissectorTables, TABLES_BEGIN, TABLES_END } from '../../../support/dissector-tables.ts';
import { DISSECTOR, shownBy, TSHARK, type Shown } from '../../../support/tshark.ts';
import { SAMPLES } from '../../../support/wire-samples.ts';
import { GOLDEN } from '../../core/wire/golden.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-dissector-'));
afterAll(() => rmSync(folder, { recursive: true }));

function sample(bytes: Uint8Array, more: Partial<CapturedDatagram> = {}): CapturedDatagram {
  return {
    at: 1_790_000_000_123_456,
    node: '10.0.0.2',
    name: 'n1',
    out: false,
    opened: true,
    version: 4,
    address: '192.0.2.7:8100',
    length: bytes.length,
    drops: [],
    bytes,
    ...more,
  };
}

/** One of everything, and what a network of four said in some seconds. */
const golden = [...GOLDEN.map(({ bytes }) => bytes), ...SAMPLES].map((bytes) => sample(bytes));
let said: readonly CapturedDatagram[] = [];
beforeAll(() => {
  said = captureOf(4, 1 * SECOND);
}, 60_000);

function namesIn(datagrams: readonly CapturedDatagram[]): Set<string> {
  const found = new Set<string>();
  const note = (names: ReadonlyMap<number, string>, what: string, value: unknown): void =>
    void found.add(`${what} ${names.get(value as number)}`);
  for (const { bytes, length, opened } of datagrams)
    for (const { structure, fields } of dissect(bytes, length, opened).parts) {
      if (structure === 'datagram') note(NAMES.datagram, 'datagram', fields.get('type'));
      if (structure === 'frame') note(NAMES.frame, 'frame', fields.get('type'));
      if (structure === 'packet') note(NAMES.kind, 'kind', fields.get('kind'));
      if (structure === 'echo') note(NAMES.echo, 'echo', fields.get('operation'));
      if (structure.startsWith('route_')) note(NAMES.route, 'route', fields.get('type'));
      if (structure.startsWith('probed_')) note(NAMES.probed, 'probed', fields.get('type'));
    }
  return found;
}

/** Fields as the dissector names them, with their values as text. */
function fieldsOf(parts: readonly Part[]): [string, string][] {
  return parts.flatMap(({ structure, fields }) =>
    [...fields].map(([name, value]): [string, string] => [
      `spines.${structure}.${name.replaceAll(/[ -]/g, '_')}`,
      String(value),
    ]),
  );
}

/** What the dissector shows beside the fields of layouts: bits of some, and its own head. */
const BESIDE =
  /^spines\.(capture\.\w+|packet\.(service|dissemination|sealed|ecn|priority|deadline))$/;

function write(name: string, datagrams: readonly CapturedDatagram[]): string {
  const writer = new PcapngWriter('10.0.0.1', 1_452);
  const file = join(folder, name);
  writeFileSync(
    file,
    Buffer.concat([
      writer.begin('spines test'),
      ...datagrams.map((one) => writer.datagram(one)),
      writer.end(3),
    ]),
  );
  return file;
}

describe('what is captured', () => {
  test('is read whole, each kind of datagram, frame, packet and message', () => {
    const found = namesIn([...golden, ...said]);
    const registered = Object.entries({
      datagram: NAMES.datagram,
      frame: NAMES.frame,
      kind: NAMES.kind,
      echo: NAMES.echo,
      route: NAMES.route,
      probed: NAMES.probed,
    }).flatMap(([what, names]) => [...names.values()].map((name) => `${what} ${name}`));
    expect(
      registered.filter((name) => !found.has(name)),
      'no sample',
    ).toEqual([]);
    for (const { bytes, length, opened } of [...golden, ...said])
      expect(dissect(bytes, length, opened)).toMatchObject({ fault: null, cut: false });
  });

  test('cut anywhere is read as far as it goes, and said to be cut', () => {
    for (const { bytes, length, opened } of [...golden, ...said.slice(0, 60)])
      for (let cut = 0; cut < bytes.length; cut += 1 + Math.floor(cut / 20)) {
        const read = dissect(bytes.subarray(0, cut), length, opened);
        expect(read.fault).toBe(null);
        const whole = fieldsOf(dissect(bytes, length, opened).parts);
        expect(whole.slice(0, fieldsOf(read.parts).length)).toEqual(fieldsOf(read.parts));
      }
  });

  test('and is shorter than it says is a fault, whatever the length', () => {
    for (const { bytes } of golden)
      for (let length = 0; length < bytes.length; length += 1 + Math.floor(length / 60))
        expect(dissect(bytes.subarray(0, length), length, true).cut).toBe(false);
  });
});

describe('the dissector for Wireshark', () => {
  test('has the tables of the codecs', () => {
    const text = readFileSync(DISSECTOR, 'utf8');
    const [, behind] = text.split(TABLES_BEGIN);
    expect(behind!.split(TABLES_END)[0]).toBe(dissectorTables());
  });

  describe.skipIf(TSHARK === null)('in tshark, where it is installed', () => {
    const { bytes: long } = golden.find(({ bytes }) => bytes.length > 60)!;
    const broken = long.slice(0, 40);
    /** Behind what is whole. */
    const odd = [
      sample(broken, { length: long.length }),
      sample(broken),
      sample(golden[0]!.bytes, { drops: ['handshakeOverBudget'], opened: false, node: null }),
      sample(golden[6]!.bytes, { out: true }),
    ];
    let shown: Shown[];
    let whole: readonly CapturedDatagram[];
    beforeAll(() => {
      whole = [...golden, ...said];
      shown = shownBy(write('all.pcapng', [...whole, ...odd]));
    }, 120_000);

    test('finds nothing malformed, and fails nowhere', () => {
      expect(shown.length).toBe(whole.length + odd.length);
      const bad = /^_ws\.(malformed|lua\..*error)|^spines\.(fault|cut)|^data$/;
      const faults = shown
        .slice(0, whole.length)
        .flatMap(({ all }) => [...all.keys()].filter((name) => bad.test(name)));
      expect(faults).toEqual([]);
    });

    test('reads each field as we do', () => {
      whole.forEach(({ bytes, length, opened }, i) => {
        const fields = shown[i]!.fields.filter(([name]) => !BESIDE.test(name));
        expect(fields).toEqual(fieldsOf(dissect(bytes, length, opened).parts));
      });
    });

    test('says in a line what is in a datagram', () => {
      const at = (name: string): string =>
        shown[GOLDEN.findIndex((one) => one.name === name)]!.info;
      expect(at('init')).toBe('INIT');
      expect(at('no frames')).toBe('sign of life');
      expect(at('hello probe')).toBe('HELLO');
      expect(at('stream, syn')).toBe('STREAM 10.0.0.1:32768 > 10.0.0.7:27 SYN');
    });

    test('knows what was cut from what is broken', () => {
      const faults = shown
        .slice(whole.length, whole.length + 2)
        .map(({ all }) => [all.has('spines.cut'), all.has('spines.fault')]);
      expect(faults).toEqual([
        [true, false],
        [false, true],
      ]);
    });

    test('shows link, direction, and why something was dropped', () => {
      const columns = ['frame.interface_name', 'frame.packet_flags', 'frame.comment'];
      const rows = shown
        .slice(-2)
        .map(({ all }) => [...columns, 'spines.capture.drops'].map((name) => all.get(name)));
      expect(rows).toEqual([
        [
          'strangers',
          '0x00000001',
          'dropped: handshakeOverBudget; from 192.0.2.7:8100',
          'handshakeOverBudget',
        ],
        ['n1', '0x00000002', undefined, undefined],
      ]);
    });
  });
});

test('CAPTURE.md has the head as the code has it', () => {
  const document = readFileSync(
    new URL('../../../../src/cli/capture/CAPTURE.md', import.meta.url),
    'utf8',
  );
  const rows = [...document.matchAll(/^\| (\d+) \| (\d+) \| ([a-z ]+) \|/gm)];
  expect(rows.map(([, at, bytes, name]) => [name, [Number(at), Number(bytes)]])).toEqual(
    Object.entries(CAPTURE_HEAD_LAYOUT),
  );
});

test('what is in front of a datagram says who, which way and what was dropped', () => {
  const b = withHead('10.0.0.1', sample(Uint8Array.of(7, 8), { out: true, drops: ['a', 'b'] }));
  expect(Buffer.from(b).toString('hex')).toBe(
    `01${'03'}${'04'}${'03'}0a0000010a000002${'612c62'}0708`,
  );
});
