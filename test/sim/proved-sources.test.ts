/**
 * Sessions that choose byzantine routing hear nobody who merely claims to be somebody. The forger
 * knows ports, ids, runs and numbers: what keeps it out is how its packets come, not what it has to
 * guess.
 */

import { echoBy } from '../support/echo-by.ts';
import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DatagramSession } from '../../src/core/session/sessions.ts';
import type { StreamOwner } from '../../src/core/session/stream.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { ECHO_REPLY, encodeEcho } from '../../src/core/wire/echo.ts';
import {
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
} from '../../src/core/wire/fragment.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_ECHO,
  KIND_FRAGMENT,
  KIND_SEQUENCED,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { SEGMENT_ACK, SEGMENT_FIN, SEGMENT_RST } from '../../src/core/wire/segment.ts';
import {
  encodeSequencedHead,
  PIECE_BYTES,
  SEQUENCED_HEAD_BYTES,
} from '../../src/core/wire/sequenced.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';
import { forge, forgeSegment, forgeSyn, type Claim } from '../support/forger.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

const SERVICES = [
  ['best-effort', SERVICE_BEST_EFFORT],
  ['reliable', SERVICE_RELIABLE],
] as const;
const PORT = 7_000,
  FROM = 5_000;
/** Two honest ways from 0 to 1, and an insider that hangs on one node of one of them. */
const EDGES: readonly Edge[] = [
  [0, 2],
  [2, 1],
  [0, 3],
  [3, 1],
  [4, 2],
].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 3 * MILLISECOND, bandwidthKbps: 8_000 }));

interface Heard {
  readonly source: number;
  readonly bytes: Uint8Array;
}

class Scene {
  readonly lab = new AdversaryLab({
    seed: 1,
    nodes: 5,
    edges: EDGES,
    options: modeOf('secure'),
    secrecy: 'links',
  });
  readonly source = this.lab.host(0);
  readonly destination = this.lab.host(1);
  readonly insider = this.lab.host(4);
  readonly service: number;
  readonly heard: Heard[] = [];
  readonly receiver: DatagramSession;
  readonly sender: DatagramSession;

  constructor(service: number, receives = DISSEMINATION_BYZANTINE) {
    this.service = service;
    this.receiver = this.destination.node.sessions.open(
      {
        onMessage: (_session, source, _port, bytes, start, end) => {
          this.heard.push({ source, bytes: bytes.slice(start, end) });
          return true;
        },
        onWritable() {},
      },
      { dissemination: receives, service },
    );
    this.destination.node.sessions.bind(this.receiver, PORT);
    this.sender = this.source.node.sessions.open(
      { onMessage: () => true, onWritable() {} },
      { dissemination: DISSEMINATION_BYZANTINE, service },
    );
    this.source.node.sessions.bind(this.sender, FROM);
  }

  get claim(): Claim {
    return {
      source: this.source.id,
      sourcePort: FROM,
      destination: this.destination.id,
      destinationPort: PORT,
      service: this.service,
    };
  }

  get refused(): number {
    return this.destination.node.drops.of(DropReason.sourceUnproved);
  }

  /** The honest source says `bytes` of `letter`; everything then arrives. */
  say(letter: string, bytes: number): void {
    const message = new Uint8Array(bytes).fill(letter.charCodeAt(0));
    this.source.node.sessions.send(this.sender, this.destination.id, PORT, message, 0, bytes);
    this.source.endTurn();
    this.lab.run(SECOND);
  }

  /** What was heard, e.g. "a5000 b1"; a message of mixed letters is "?". */
  get transcript(): string {
    return this.heard
      .map(({ bytes }) =>
        bytes.every((byte) => byte === bytes[0])
          ? `${String.fromCharCode(bytes[0]!)}${bytes.length}`
          : '?',
      )
      .join(' ');
  }
}

function fragment(message: number, index: number, count: number): Uint8Array {
  const bytes = new Uint8Array(FRAGMENT_HEAD_BYTES + FRAGMENT_BYTES).fill(0x58);
  encodeFragmentHead({ message, index, count }, bytes, 0);
  return bytes;
}

function piece(
  run: number,
  message: number,
  index: number,
  count: number,
  bytes = PIECE_BYTES,
): Uint8Array {
  const out = new Uint8Array(SEQUENCED_HEAD_BYTES + bytes).fill(0x58);
  encodeSequencedHead({ run, message, index, count }, out, 0);
  return out;
}

describe('datagrams', () => {
  test.each(SERVICES)(
    'in the name of an honest source are counted and not delivered, %s',
    (_name, service) => {
      const scene = new Scene(service);
      scene.say('a', 1);
      for (const bytes of [1, 100, 1_400])
        forge(scene.insider, scene.claim, KIND_DATAGRAM, new Uint8Array(bytes).fill(0x58));
      scene.say('b', 100);
      expect(scene.transcript).toBe('a1 b100');
      expect(scene.refused).toBe(3);
    },
  );

  test('that say byzantine in their header and came as link state do neither', () => {
    const scene = new Scene(SERVICE_BEST_EFFORT);
    forge(
      scene.insider,
      { ...scene.claim, dissemination: DISSEMINATION_BYZANTINE },
      KIND_DATAGRAM,
      new Uint8Array(10).fill(0x58),
    );
    scene.say('a', 1);
    expect(scene.transcript).toBe('a1');
  });

  test('that name the destination itself are not what it sends to itself', () => {
    const scene = new Scene(SERVICE_BEST_EFFORT, DISSEMINATION_LINK_STATE);
    forge(
      scene.insider,
      { ...scene.claim, source: scene.destination.id },
      KIND_DATAGRAM,
      new Uint8Array(10).fill(0x58),
    );
    scene.say('a', 1);
    expect(scene.transcript).toBe('a1');
    expect(scene.refused).toBe(1);
  });

  test('to a session on the same daemon arrive by byzantine routing', () => {
    const scene = new Scene(SERVICE_BEST_EFFORT);
    const own = scene.destination.node.sessions.open(
      { onMessage: () => true, onWritable() {} },
      { dissemination: DISSEMINATION_BYZANTINE },
    );
    scene.destination.node.sessions.send(
      own,
      scene.destination.id,
      PORT,
      new Uint8Array(5_000).fill(0x73),
      0,
      5_000,
    );
    scene.destination.endTurn();
    scene.lab.run(SECOND);
    expect(scene.transcript).toBe('s5000');
  });

  test('of proved sources reach sessions of link state as well', () => {
    const scene = new Scene(SERVICE_BEST_EFFORT, DISSEMINATION_LINK_STATE);
    scene.say('a', 5_000);
    expect(scene.transcript).toBe('a5000');
  });
});

describe('long messages', () => {
  test.each([DISSEMINATION_BYZANTINE, DISSEMINATION_LINK_STATE])(
    'fragments of a claimed source neither replace, ' +
      'nor end, nor complete those of a proved one; receiver %i',
    (receives) => {
      const scene = new Scene(SERVICE_BEST_EFFORT, receives);
      // Every number that a count from 0 could have: with the right count of pieces, and with a
      // wrong one.
      for (let message = 0; message < 20; message += 1)
        forge(
          scene.insider,
          scene.claim,
          KIND_FRAGMENT,
          fragment(message, 0, message < 10 ? 4 : 2),
        );
      for (const letter of 'abcdefghijklmno') scene.say(letter, 5_000);
      expect(scene.transcript).toBe(
        [...'abcdefghijklmno'].map((letter) => `${letter}5000`).join(' '),
      );
    },
  );

  test(
    'pieces over reliable links of a claimed source neither replace nor use up those of a proved ' +
      'one, ' +
      'although run and numbers are known',
    () => {
      const scene = new Scene(SERVICE_RELIABLE);
      const { run } = scene.sender;
      for (let message = 0; message < 4; message += 1)
        forge(scene.insider, scene.claim, KIND_SEQUENCED, piece(run, message, 0, 4));
      for (let message = 4; message < 8; message += 1)
        forge(scene.insider, scene.claim, KIND_SEQUENCED, piece(run, message, 0, 1, 10));
      // The window of numbers moves on.
      forge(scene.insider, scene.claim, KIND_SEQUENCED, piece(run, 1_000_000, 0, 1, 10));
      for (const letter of 'abcdefgh') scene.say(letter, 5_000);
      expect(scene.transcript).toBe([...'abcdefgh'].map((letter) => `${letter}5000`).join(' '));
      expect(scene.refused).toBe(9);
    },
  );

  test('a session of link state that hears both keeps their numbers apart', () => {
    const scene = new Scene(SERVICE_RELIABLE, DISSEMINATION_LINK_STATE);
    for (let message = 0; message < 4; message += 1)
      forge(scene.insider, scene.claim, KIND_SEQUENCED, piece(scene.sender.run, message, 0, 1, 10));
    for (const letter of 'abcd') scene.say(letter, 100);
    expect(scene.transcript).toBe('X10 X10 X10 X10 a100 b100 c100 d100');
  });
});

const OPTIONS = { ttl: 64, priority: 1, congestion: 'newreno' } as const;
const deaf = (): StreamOwner => ({
  onOpen() {},
  onReadable(stream) {
    stream.take(stream.front().length);
  },
  onSpace() {},
  onClosed() {},
});

function connect(
  from: SimHost,
  to: SimHost,
  service: number,
  dissemination: number,
  bytes: number,
): StreamEnd {
  const end = new StreamEnd(from, bytes, 1, 99);
  end.stream = from.node.streams.connect(to.id, PORT, 0, end, {
    ...OPTIONS,
    service,
    dissemination,
  });
  from.endTurn();
  return end;
}

describe('streams', () => {
  test.each(SERVICES)(
    'take neither data nor ends nor resets of who knows their ids, on either side, %s',
    (_name, service) => {
      const scene = new Scene(service);
      const { lab, source, destination, insider } = scene;
      const served = serve(destination, PORT, () => new StreamEnd(destination, 0, 99, 1));
      const client = connect(source, destination, service, DISSEMINATION_BYZANTINE, 20_000_000);
      lab.run(SECOND);
      const there = served[0]!.stream!,
        here = client.stream!;
      const toServer: Claim = {
        source: source.id,
        sourcePort: here.localPort,
        destination: destination.id,
        destinationPort: PORT,
        service: SERVICE_BEST_EFFORT,
      };
      const toClient: Claim = {
        source: destination.id,
        sourcePort: PORT,
        destination: source.id,
        destinationPort: here.localPort,
        service: SERVICE_BEST_EFFORT,
      };
      for (const [claim, stream] of [
        [toServer, there],
        [toClient, here],
      ] as const) {
        for (const flags of [SEGMENT_ACK, SEGMENT_ACK | SEGMENT_FIN, SEGMENT_RST]) {
          forgeSegment(
            insider,
            claim,
            flags,
            stream.id,
            stream.receiver.next,
            new Uint8Array(flags === SEGMENT_RST ? 0 : 100),
          );
        }
        // By the far end's id, as a daemon that was started anew does.
        forgeSegment(insider, claim, SEGMENT_RST, stream.remoteId, 0, new Uint8Array(0));
      }
      lab.run(2 * SECOND);
      expect([here.state, there.state, client.error, served[0]!.error]).toEqual([
        'open',
        'open',
        undefined,
        undefined,
      ]);
      expect(served[0]!.wrong).toBe(0);
      expect(scene.refused).toBe(4);
      expect(source.node.drops.of(DropReason.sourceUnproved)).toBe(4);
    },
  );

  test(
    'a listener with routing byzantine refuses ' + 'what is opened by link state, and says so',
    () => {
      const scene = new Scene(SERVICE_RELIABLE);
      const { lab, source, destination } = scene;
      let accepted = 0;
      destination.node.streams.listen(PORT, 0, (port) => ({
        port,
        dissemination: DISSEMINATION_BYZANTINE,
        onAccept: () => {
          accepted += 1;
          return deaf();
        },
      }));
      const wrong = connect(source, destination, SERVICE_RELIABLE, DISSEMINATION_LINK_STATE, 10);
      lab.run(SECOND);
      expect([accepted, wrong.error]).toEqual([0, 'ECONNREFUSED']);
      const right = connect(source, destination, SERVICE_RELIABLE, DISSEMINATION_BYZANTINE, 10);
      lab.run(SECOND);
      expect([accepted, right.opened]).toEqual([1, true]);
    },
  );

  test('a forged SYN with the ports and id of a proved one does not take its place', () => {
    const scene = new Scene(SERVICE_RELIABLE);
    const { lab, source, destination, insider } = scene;
    const served = serve(destination, PORT, () => new StreamEnd(destination, 0, 99, 1));
    // It needs a path first, and meanwhile the forger is there.
    const client = connect(source, destination, SERVICE_RELIABLE, DISSEMINATION_BYZANTINE, 1_000);
    const { id, localPort } = client.stream!;
    forgeSyn(
      insider,
      {
        source: source.id,
        sourcePort: localPort,
        destination: destination.id,
        destinationPort: PORT,
        service: SERVICE_RELIABLE,
      },
      id,
    );
    lab.run(3 * SECOND);
    expect([client.opened, served.length, served[0]?.read]).toEqual([true, 1, 1_000]);
    expect(served[0]!.stream!.options.dissemination).toBe(DISSEMINATION_BYZANTINE);
  });

  test('a reset from where the far end cannot be is not taken, by link state either', () => {
    const scene = new Scene(SERVICE_RELIABLE);
    const { lab, source, destination, insider } = scene;
    const served = serve(destination, PORT, () => new StreamEnd(destination, 0, 99, 1));
    const client = connect(
      source,
      destination,
      SERVICE_RELIABLE,
      DISSEMINATION_LINK_STATE,
      20_000_000,
    );
    lab.run(SECOND);
    const there = served[0]!.stream!;
    const claim: Claim = {
      source: source.id,
      sourcePort: client.stream!.localPort,
      destination: destination.id,
      destinationPort: PORT,
      service: SERVICE_BEST_EFFORT,
    };
    for (const sequence of [0, there.receiver.next - 1, there.receiver.next + 64 * 1_048_576])
      forgeSegment(insider, claim, SEGMENT_RST, there.id, sequence, new Uint8Array(0));
    lab.run(SECOND);
    expect([there.state, served[0]!.wrong]).toEqual(['open', 0]);
    expect(destination.node.drops.of(DropReason.streamOutOfWindow)).toBe(3);
    client.stream!.reset();
    source.endTurn();
    lab.run(SECOND);
    expect(served[0]!.error).toBe('ECONNRESET');
  });
});

test('a reply counts for the node that was asked, and for the request that it saw', () => {
  const scene = new Scene(SERVICE_BEST_EFFORT);
  const { lab, source, destination, insider } = scene;
  const ids: number[] = [];
  lab.host(2).node.dissemination.misbehaviour = {
    onTransit: (packet) => {
      if (packet.kind === KIND_ECHO)
        ids.push(
          packet.bytes[packet.payloadStart + 4]! * 0x100_0000 +
            packet.bytes[packet.payloadStart + 5]! * 0x1_0000 +
            packet.bytes[packet.payloadStart + 6]! * 0x100 +
            packet.bytes[packet.payloadStart + 7]!,
        );
      return true;
    },
  };
  lab.host(3).node.dissemination.misbehaviour = lab.host(2).node.dissemination.misbehaviour;
  const results: unknown[] = [];
  for (let i = 0; i < 2; i += 1)
    source.node.echo.probe(destination.id, echoBy(), 2 * SECOND, (result) => results.push(result));
  source.endTurn();
  lab.run(SECOND);
  expect(new Set(ids).size).toBe(2);
  for (const host of [lab.host(2), lab.host(3)]) host.node.dissemination.misbehaviour = null;
  // The insider replies in its own name to what it has seen, and in the destination's to what it
  // has not.
  const reply = (from: number, sequence: number, id: number): void => {
    const bytes = new Uint8Array(8);
    encodeEcho({ operation: ECHO_REPLY, ttlLeft: 62, sequence, id }, bytes, 0);
    forge(
      insider,
      {
        source: from,
        sourcePort: 0,
        destination: source.id,
        destinationPort: 0,
        service: SERVICE_BEST_EFFORT,
      },
      KIND_ECHO,
      bytes,
    );
  };
  reply(insider.id, 0, ids[0]!);
  reply(destination.id, 1, ids[0]!);
  lab.run(2 * SECOND);
  expect(results).toEqual([null, null]);
});
