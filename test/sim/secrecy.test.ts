/**
 * What somebody who hears every wire learns: with sealed links neither texts nor names, ids or
 * certificates; without, all of them, which shows that the search finds what is there. Real
 * primitives; test/e2e does the same with real daemons.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import type { Stream, StreamOwner } from '../../src/core/session/stream.ts';
import { SimAuthority } from '../../src/lab/sim/sim-authority.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { armour } from '../../src/core/wire/armour.ts';
import { DISSEMINATION_LINK_STATE, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { ID_CHANCE, leaks, type Leaks } from '../support/capture.ts';
import { Inbox, Network, useNetworks } from '../support/network.ts';

useNetworks();

const MARKER = 'this sentence was meant for one reader only';
const NAMES = ['amsterdam', 'barcelona', 'copenhagen', 'dublin'];
const TEXTS = [MARKER, 'BEGIN SPINES CERTIFICATE', ...NAMES];
const STREAM_BYTES = 1_200_000;
const DATAGRAMS = 50;
/** Long enough for keys to be renewed: 120 s. */
const AFTERWARDS = 130 * SECOND;

/**
 * The first of four hosts sends the last a stream and datagrams. Returns what could be read on the
 * wires, handshakes included.
 */
function overheard(security: 'sealed' | 'none'): Leaks {
  const heard: Uint8Array[] = [];
  const network = new Network({
    security,
    primitives: nodePrimitives,
    onArrival: (_wire, bytes) => {
      heard.push(bytes.slice());
      return true;
    },
  });
  const [a, b, c, d] = NAMES.map((name) => network.add(name)) as [
    SimHost,
    SimHost,
    SimHost,
    SimHost,
  ];
  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, d],
    [b, d],
  ] as const)
    network.connect(from, to);
  network.settle();

  // Certificates are sent as text and as bytes: an unsealed wire carries none by itself.
  const authority = new SimAuthority(nodePrimitives, new Rng(7));
  const certificates = network.hosts.map(
    (host) => (host.identity ?? authority.issue(host.id, host.name)).certificate.bytes,
  );
  const piece = Buffer.concat([
    Buffer.from(`${MARKER} ${armour('SPINES CERTIFICATE', certificates[0]!)}`),
    ...certificates.slice(0, 3),
  ]);
  expect(piece.length).toBeLessThan(1_400);
  const text = Buffer.alloc(STREAM_BYTES, Buffer.concat([piece, certificates[3]!]));

  const reader = new Program(d, Buffer.alloc(0));
  d.node.streams.listen(700, 0, (port) => ({ port, onAccept: () => reader }));
  const writer = new Program(a, text);
  a.node.streams.connect(d.id, 700, 0, writer, {
    service: SERVICE_RELIABLE,
    dissemination: DISSEMINATION_LINK_STATE,
    ttl: 64,
    priority: 1,
    congestion: 'newreno',
  });
  a.endTurn();
  const inbox = new Inbox(d, 701),
    outbox = new Inbox(a, 0);
  for (let i = 0; i < DATAGRAMS; i += 1) {
    outbox.send(d, 701, piece);
    network.run(20 * MILLISECOND);
  }
  expect(
    network.until(() => writer.closed, 60 * SECOND),
    'the stream ends',
  ).not.toBeNull();
  expect(Buffer.concat(reader.read).equals(text), 'the stream arrives as it was').toBe(true);
  expect(inbox.messages).toHaveLength(DATAGRAMS);
  network.run(AFTERWARDS);
  return leaks(heard, {
    texts: TEXTS,
    nodeIds: network.hosts.map((host) => host.id),
    secrets: certificates,
  });
}

/** Writes a text to its stream and ends; keeps what it reads. */
class Program implements StreamOwner {
  readonly read: Uint8Array[] = [];
  closed = false;
  readonly #host: SimHost;
  readonly #text: Uint8Array;
  #written = 0;
  #ended = false;

  constructor(host: SimHost, text: Uint8Array) {
    this.#host = host;
    this.#text = text;
  }

  onOpen(stream: Stream): void {
    this.onSpace(stream);
  }

  onSpace(stream: Stream): void {
    if (this.#ended) return;
    this.#written += stream.write(this.#text, this.#written, this.#text.length);
    if (this.#written < this.#text.length) return;
    this.#ended = true;
    stream.end();
  }

  onReadable(stream: Stream): void {
    while (stream.receiver.readyBytes > 0) {
      const front = stream.front();
      this.read.push(front.slice());
      stream.take(front.length);
    }
    stream.onTaken();
    this.onSpace(stream);
  }

  onClosed(): void {
    this.closed = true;
    this.#host.endTurn();
  }
}

describe('who hears every wire', () => {
  test('of an unsealed network reads texts, names, ids and whatever is carried', () => {
    const found = overheard('none');
    expect(found.texts).toEqual(TEXTS);
    expect(found.secrets).toBe(NAMES.length);
    expect(found.idPairs).toBeGreaterThan(1_000);
    expect(found.bytes).toBeGreaterThan(2 * STREAM_BYTES);
  });

  test('of a sealed network reads none of it', () => {
    const found = overheard('sealed');
    expect(found).toMatchObject({ texts: [], secrets: 0, idPairs: 0 });
    expect(found.idDatagrams).toBeLessThanOrEqual(ID_CHANCE);
    expect(found.bytes).toBeGreaterThan(2 * STREAM_BYTES);
  });
});

describe('the search', () => {
  const needles = {
    texts: ['marker'],
    nodeIds: [0x0a00_0001, 0x0a00_0002],
    secrets: [Uint8Array.from({ length: 40 }, (_, i) => 200 + i)],
  };

  test('finds each thing at any place, and nothing across two datagrams', () => {
    const in1 = (...bytes: number[]): Leaks => leaks([Uint8Array.from([9, ...bytes, 9])], needles);
    expect(leaks([Buffer.from('..mar'), Buffer.from('ker..')], needles).texts).toEqual([]);
    expect(leaks([Buffer.from('a'), Buffer.from('..marker..')], needles).texts).toEqual(['marker']);
    expect(in1(10, 0, 0, 1)).toMatchObject({ idPairs: 0, idDatagrams: 1 });
    expect(in1(10, 0, 0, 1, 10, 0, 0, 2)).toMatchObject({ idPairs: 1, idDatagrams: 1 });
    expect(in1(10, 0, 0, 2, 10, 0, 0, 1)).toMatchObject({ idPairs: 1 });
    expect(in1(...needles.secrets[0]!.subarray(16, 32))).toMatchObject({ secrets: 1 });
    expect(in1(...needles.secrets[0]!.subarray(0, 15))).toMatchObject({ secrets: 0 });
  });
});
