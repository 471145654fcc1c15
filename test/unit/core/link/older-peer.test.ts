/**
 * Handshakes as builds of earlier wire versions sent them, byte for byte: what is in the fixtures
 * must be read for as long as its version is supported. Versions above and below differ in their
 * numbers only.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';
import { Declined, type Call } from '../../../../src/core/link/handshaker.ts';
import { PlainHandshaker } from '../../../../src/core/link/plain-handshaker.ts';
import { SealedHandshaker } from '../../../../src/core/link/sealed-handshaker.ts';
import { SimAuthority } from '../../../../src/lab/sim/sim-authority.ts';
import { dropReasonName } from '../../../../src/core/wire/drop.ts';
import { DATAGRAM_BYTES_MAX } from '../../../../src/core/wire/sizes.ts';
import { WIRE_VERSIONS, type VersionRange } from '../../../../src/core/wire/versions.ts';

interface Recorded {
  readonly versions: VersionRange;
  readonly sealed: boolean;
  readonly init: string;
  readonly response: string;
}

const FILE = fileURLToPath(new URL('./wire-version-2.json', import.meta.url));
const CLOCK = { now: () => 10 * SECOND };
const SINK = { congested: false, send: () => {} };
const FROM = makeEndpoint('192.0.2.1', 8100);
const RANGES: VersionRange[] = [
  { min: 2, max: 2 },
  { min: 2, max: 3 },
  { min: 1, max: 2 },
];

/** Both sides of one handshake, with the same randomness each time; `versions`: the dialler's. */
function pair(
  sealed: boolean,
  versions: VersionRange,
): {
  call: Call;
  dialler: SealedHandshaker | PlainHandshaker;
  answerer: SealedHandshaker | PlainHandshaker;
} {
  const authority = new SimAuthority(nodePrimitives, new Rng(7));
  const [near, far] = [authority.issue(0x0a00_0001, 'near'), authority.issue(0x0a00_0002, 'far')];
  const call: Call = {
    node: null,
    key: sealed ? far.exchange.publicKey : null,
    index: 0x1234_5678,
    attempts: 0,
    continues: 0,
    secrets: null,
  };
  if (!sealed)
    return {
      call,
      dialler: new PlainHandshaker(0x0a00_0001, versions),
      answerer: new PlainHandshaker(0x0a00_0002),
    };
  return {
    call,
    dialler: new SealedHandshaker(authority.member(near, CLOCK), CLOCK, SINK, versions),
    answerer: new SealedHandshaker(authority.member(far, CLOCK), CLOCK, SINK),
  };
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

function taken<T>(read: T | Declined): T {
  if (read instanceof Declined) throw new Error(`declined: ${dropReasonName(read.reason)}`);
  return read;
}

/** What this build makes of one handshake. */
function record(sealed: boolean, versions: VersionRange): Recorded {
  const { call, dialler, answerer } = pair(sealed, versions);
  const out = new Uint8Array(DATAGRAM_BYTES_MAX);
  const init = out.slice(
    0,
    dialler.writeInit(call, { instance: 0x1122_3344_5566, started: 0x0f1e_2d3c_4b5a }, out),
  );
  const answer = taken(answerer.readInit(init, init.length, FROM)).accept(
    0x2345_6789,
    0,
    { instance: 0x6655_4433_2211, started: 0x0f1e_2d3c_4b5b },
    0,
    out,
  );
  const response = out.slice(0, answer!.length);
  return { versions, sealed, init: hex(init), response: hex(response) };
}

// SPINES_RECORD=1 writes them anew: once for each version, when it is new, and never again.
if (process.env['SPINES_RECORD'] === '1') {
  writeFileSync(
    FILE,
    `${JSON.stringify(
      [true, false].flatMap((sealed) => RANGES.map((range) => record(sealed, range))),
      null,
      1,
    )}\n`,
  );
}
const fixtures = JSON.parse(readFileSync(FILE, 'utf8')) as Recorded[];

describe.each(fixtures)('sealed: $sealed, $versions', ({ versions, sealed, init, response }) => {
  test('an INIT of that build is read, and the highest common version agreed on', () => {
    const { answerer } = pair(sealed, versions);
    expect(taken(answerer.readInit(bytes(init), bytes(init).length, FROM)).hello).toMatchObject({
      node: 0x0a00_0001,
      index: 0x1234_5678,
      instance: 0x1122_3344_5566,
      started: 0x0f1e_2d3c_4b5a,
      version: versions.max,
    });
  });

  test('the answer of that build is read', () => {
    const { call, dialler } = pair(sealed, versions);
    const out = new Uint8Array(DATAGRAM_BYTES_MAX);
    dialler.writeInit(call, { instance: 0x1122_3344_5566, started: 0x0f1e_2d3c_4b5a }, out);
    const read = dialler.readResponse(call, bytes(response), bytes(response).length);
    expect(taken(read).hello).toMatchObject({
      node: 0x0a00_0002,
      index: 0x2345_6789,
      instance: 0x6655_4433_2211,
      version: 2,
    });
  });

  test('every other range than the one recorded breaks it', () => {
    for (const [min, max] of [
      [1, 1],
      [1, 3],
      [2, 4],
      [1, 255],
    ] as const) {
      const { answerer } = pair(sealed, versions);
      const changed = bytes(init);
      changed[12] = min;
      changed[13] = max;
      expect(answerer.readInit(changed, changed.length, FROM)).toBeInstanceOf(Declined);
    }
  });
});

test('the fixtures are of versions that are supported', () => {
  expect(WIRE_VERSIONS.min).toBeLessThanOrEqual(2);
});
