/**
 * A running daemon under mutated datagrams and client frames, while honest traffic passes through
 * it.
 *
 * 20,000 and 5,000 of them in the normal suite; SPINES_FUZZ_COUNT and SPINES_FUZZ_CLIENT_COUNT ask
 * for more (`npm run test:long`: 1,000,000 and 100,000).
 */

import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  encodeControl,
  encodeDatagram,
  FRAME_HELLO,
  FRAME_REQUEST,
  FRAME_SEND,
} from 'spines-client/protocol';
import type { SpinesClient, SpinesDatagram, StatusReply } from 'spines-client';
import { Membership } from '../../src/core/crypto/membership.ts';
import { readIdentityFiles } from '../../src/host/identity/identity-files.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { secureRandom } from '../../src/host/primitives/secure-random.ts';
import { wallClock } from '../../src/host/system-clock.ts';
import { Declined, type Agreement, type Call, type Seal } from '../../src/core/link/handshaker.ts';
import { SealedHandshaker } from '../../src/core/link/sealed-handshaker.ts';
import { dropReasonName } from '../../src/core/wire/drop.ts';
import { Rng } from '../../src/core/base/rng.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_INIT,
  DATAGRAM_SEALED_DATA,
  encodeDatagramHeader,
} from '../../src/core/wire/datagram-header.ts';
import {
  encodeHello,
  FRAME_DATA,
  FRAME_HELLO as LINK_HELLO,
  FRAME_LINK_STATE,
  HELLO_BODY_BYTES,
  putFrameHead,
} from '../../src/core/wire/frames.ts';
import { WIRE_VERSIONS } from '../../src/core/wire/versions.ts';
import {
  decodeHandshake,
  encodeHandshake,
  HANDSHAKE_BYTES,
  type Handshake,
} from '../../src/core/wire/handshake.ts';
import {
  CONTROL_CHECK_BYTES,
  makeAdvertisement,
  putControlCheck,
} from '../../src/core/wire/link-state.ts';
import { KIND_DATAGRAM, Packet } from '../../src/core/wire/packet.ts';
import { mend } from '../fuzz/mutate.ts';
import { RealNetwork } from '../support/processes.ts';

const DATAGRAMS = Number(process.env['SPINES_FUZZ_COUNT'] ?? 20_000);
const FRAMES = Number(process.env['SPINES_FUZZ_CLIENT_COUNT'] ?? 5_000);
const SEED = Number(process.env['SPINES_SEED'] ?? 1);
const STRANGER = 0x0b0c0d0e;

let network = new RealNetwork();
afterAll(() => network.close());

/** Memory of a process, MB. */
function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

function mutate(bytes: Uint8Array, rng: Rng): Uint8Array {
  const out = bytes.slice(0, rng.chance(0.2) ? rng.below(bytes.length + 1) : bytes.length);
  for (let flips = 1 + rng.below(4); flips > 0 && out.length > 0; flips -= 1)
    out[rng.below(out.length)] = rng.below(256);
  return out;
}

/**
 * A datagram that could be honest, in the clear: hello, advertisement, and a packet for somebody.
 */
function honest(type: number, index: number, number: number): Uint8Array {
  const b = new Uint8Array(600);
  encodeDatagramHeader(type, index, number, b);
  let at = putFrameHead(b, 12, LINK_HELLO, HELLO_BODY_BYTES);
  at = encodeHello({ flags: 0, burst: 0, loss: 0, stamp: 1, echo: 0, held: 0 }, b, at);
  const links = [1, 2, 3].map((n) => ({ node: 0x0b000000 + n, latency: 5, loss: 0 }));
  const advertisement = makeAdvertisement(STRANGER, number, false, 'stranger', links);
  at = putFrameHead(b, at, FRAME_LINK_STATE, 2 + advertisement.bytes.length + CONTROL_CHECK_BYTES);
  const body = at;
  b[at] = 1;
  b.set(advertisement.bytes, at + 2);
  at += 2 + advertisement.bytes.length;
  putControlCheck(b, body, at);
  at += CONTROL_CHECK_BYTES;
  const start = putFrameHead(b, at, FRAME_DATA, 16 + 40);
  const packet = new Packet();
  Object.assign(packet, {
    bytes: b,
    start,
    end: start + 56,
    kind: KIND_DATAGRAM,
    ttl: 9,
    source: STRANGER,
    destination: 0x0a000002,
    sourcePort: 5,
    destinationPort: 6,
  });
  packet.encodeHeader();
  return b.slice(0, start + 56);
}

/** Makes a proper link with a daemon and then misuses it. */
abstract class Stranger {
  protected readonly socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  protected readonly rng: Rng;
  readonly port: number;
  protected index = 0;
  protected number = 0;

  constructor(port: number, rng: Rng) {
    this.port = port;
    this.rng = rng;
  }

  abstract join(): Promise<void>;
  /** The next datagram to send. */
  protected abstract next(): Uint8Array;

  send(): void {
    this.socket.send(this.next(), this.port, '127.0.0.1');
  }

  close(): void {
    this.socket.close();
  }

  protected garbage(): Uint8Array {
    const bytes = new Uint8Array(this.rng.below(1_600));
    this.rng.fill(bytes);
    return bytes;
  }
}

/** In a network without security. */
class PlainStranger extends Stranger {
  async join(): Promise<void> {
    const init = new Uint8Array(HANDSHAKE_BYTES);
    encodeDatagramHeader(DATAGRAM_INIT, 0, 0, init);
    encodeHandshake(
      {
        versions: WIRE_VERSIONS,
        version: 0,
        node: STRANGER,
        peer: 0,
        index: 77,
        instance: 5,
        started: 0,
      },
      init,
    );
    const answer: Handshake = {
      versions: WIRE_VERSIONS,
      version: 0,
      node: 0,
      peer: 0,
      index: 0,
      instance: 0,
      started: 0,
    };
    await new Promise<void>((resolve) => {
      this.socket.once('message', (bytes) => {
        if (bytes.length === HANDSHAKE_BYTES && decodeHandshake(bytes, bytes.length, answer) === 0)
          resolve();
      });
      this.socket.send(init, this.port, '127.0.0.1');
    });
    this.index = answer.index;
    this.socket.on('message', () => {});
  }

  protected next(): Uint8Array {
    const pick = this.rng.below(10);
    if (pick === 0) return this.garbage();
    this.number += 1;
    const bytes = mutate(honest(DATAGRAM_DATA, this.index, this.number), this.rng);
    if (pick > 6) mend(bytes);
    // Most keep a right header, so that what is behind it gets its turn.
    if (pick > 3 && bytes.length >= 12)
      encodeDatagramHeader(DATAGRAM_DATA, this.index, this.number, bytes);
    return bytes;
  }
}

/**
 * With a certificate: half of what it sends is mutated before it is sealed, and opens; the other
 * half after, as by an outsider.
 */
class SealedStranger extends Stranger {
  readonly #key: Uint8Array;
  readonly #handshaker: SealedHandshaker;
  readonly #call: Call;
  #init = new Uint8Array(0);
  #seal: Seal | null = null;

  constructor(port: number, rng: Rng, key: string, folder: string) {
    super(port, rng);
    this.#key = Uint8Array.from(Buffer.from(key, 'hex'));
    const at = (name: string): string => join(folder, name);
    const paths = {
      key: at('node.key'),
      certificate: at('node.crt'),
      authorities: [at('authority.pub')],
      revocations: at('revocations.crl'),
      passphraseFile: null,
    };
    const { credentials } = readIdentityFiles(paths, Math.floor(Date.now() / 1_000));
    const membership = new Membership(nodePrimitives, credentials, wallClock, secureRandom);
    this.#handshaker = new SealedHandshaker(
      membership,
      { now: () => Math.round(performance.now() * 1_000) },
      { congested: false, send: () => {} },
    );
    this.#call = {
      node: null,
      key: this.#key,
      index: 77,
      attempts: 0,
      continues: 0,
      secrets: null,
    };
  }

  async join(): Promise<void> {
    const out = new Uint8Array(1_500);
    this.#init = out.slice(
      0,
      this.#handshaker.writeInit(this.#call, { instance: 5, started: 0 }, out),
    );
    const { hello, seal } = await new Promise<Agreement>((resolve, reject) => {
      this.socket.once('message', (bytes) => {
        const agreed = this.#handshaker.readResponse(this.#call, bytes, bytes.length);
        if (agreed instanceof Declined)
          reject(new Error(`refused: ${dropReasonName(agreed.reason)}`));
        else resolve(agreed);
      });
      this.socket.send(this.#init, this.port, '127.0.0.1');
    });
    this.#seal = seal;
    this.index = hello.index;
    this.socket.on('message', () => {});
  }

  protected next(): Uint8Array {
    const pick = this.rng.below(10);
    if (pick === 0) return this.garbage();
    if (pick === 1) return mutate(this.#init, this.rng);
    this.number += 1;
    const plain = honest(DATAGRAM_SEALED_DATA, this.index, this.number);
    const inside = pick > 5 ? mutate(plain, this.rng) : plain;
    if (pick > 7) mend(inside);
    const bytes = new Uint8Array(Math.max(12, inside.length) + 16);
    bytes.set(inside);
    encodeDatagramHeader(DATAGRAM_SEALED_DATA, this.index, this.number, bytes);
    this.#seal!.send.seal(this.number, bytes, 12, bytes.length - 16);
    return pick > 5 ? bytes : mutate(bytes, this.rng);
  }
}

async function status(client: SpinesClient): Promise<StatusReply> {
  return await client.request('status');
}

/**
 * 100 messages a second from one end of the chain to the other, through the daemon under attack.
 */
async function honestFlow(): Promise<{ stop(): Promise<{ sent: number; received: number }> }> {
  const to = await network.daemons[2]!.connect();
  const from = await network.daemons[0]!.connect();
  const receiver: SpinesDatagram = to.datagram();
  let sent = 0,
    received = 0;
  receiver.on('message', () => {
    received += 1;
  });
  await new Promise<void>((resolve) => receiver.bind(9000, resolve));
  const sender = from.datagram();
  const ticker = setInterval(() => {
    sent += 1;
    sender.send(Buffer.alloc(100), 9000, 'n2');
  }, 10);
  return {
    stop: async () => {
      clearInterval(ticker);
      await from.request('ping', { node: 'n2', timeoutMs: 5_000 });
      // What was sent before the ping has passed the far daemon; its answer comes behind it.
      await to.request('status');
      await from.close();
      await to.close();
      return { sent, received };
    },
  };
}

test.each([
  ['a sealed network', [], DATAGRAMS],
  ['a network without security', ['--security', 'none'], Math.ceil(DATAGRAMS / 4)],
] as const)(
  'a daemon of %s under mutated datagrams stays up, counts its drops and forwards honest traffic',
  async (where, flags, count) => {
    await network.close();
    network = new RealNetwork();
    await network.start(
      3,
      [
        [0, 1],
        [1, 2],
      ],
      flags,
    );
    await network.converged();
    const victim = network.daemons[1]!;
    const client = await victim.connect();
    const rng = new Rng(SEED);
    const stranger =
      flags.length > 0
        ? new PlainStranger(victim.port, rng)
        : new SealedStranger(victim.port, rng, network.keys[1]!, network.identityOf(3));
    await stranger.join();
    const flow = await honestFlow();
    const before = await status(client);
    let memory = 0;
    for (let i = 0; i < count; i += 1) {
      stranger.send();
      if (i % 100 === 99) await status(client);
      if (i === Math.floor(count / 4)) memory = residentMb(victim.process!.pid!);
    }
    const { sent, received } = await flow.stop();
    const after = await status(client);
    const grown = residentMb(victim.process!.pid!) - memory;
    const drops = Object.entries(after.drops).map(
      ([reason, n]) => [reason, n - (before.drops[reason] ?? 0)] as const,
    );
    const dropped = drops.reduce((sum, [, n]) => sum + n, 0);
    console.log(
      `${where}, ${count} mutated datagrams: ${dropped} drops under ${drops.length} reasons, ` +
        `memory grew ${grown.toFixed(1)} MB after the first quarter, honest ${received}/${sent}`,
    );
    stranger.close();
    await client.close();
    expect(after.instance).toBe(before.instance);
    expect(dropped).toBeGreaterThan(count / 2);
    expect(drops.length).toBeGreaterThan(8);
    expect(grown).toBeLessThan(40);
    expect(received).toBeGreaterThanOrEqual(Math.floor(sent * 0.99) - 2);
  },
  600_000,
);

test(`a daemon under ${FRAMES} mutated client frames stays up and serves others`, async () => {
  const victim = network.daemons[1]!;
  const client = await victim.connect();
  const rng = new Rng(SEED).fork('frames');
  const flow = await honestFlow();
  const before = await status(client);
  let memory = 0;
  let done = 0;
  while (done < FRAMES) {
    const socket = connect(victim.socket);
    socket.on('error', () => {});
    socket.resume();
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    if (rng.chance(0.95)) socket.write(encodeControl(FRAME_HELLO, { version: 1, client: 'fuzz' }));
    for (let i = 0; i < 50; i += 1, done += 1) {
      const frame = rng.chance(0.5)
        ? encodeControl(FRAME_REQUEST, {
            id: 1 + rng.below(9),
            op: ['socket', 'bind', 'close', 'status', 'setOption', 'resolve', 'ping'][rng.below(7)],
            socket: rng.below(3),
            port: rng.below(70_000),
            kind: 'datagram',
            name: 'n2',
            node: 'n2',
            timeoutMs: 1,
          })
        : encodeDatagram(
            FRAME_SEND,
            rng.below(3),
            0x0a000003,
            9_999,
            new Uint8Array(rng.below(300)),
          );
      socket.write(rng.chance(0.3) ? frame : mutate(frame, rng));
    }
    socket.end();
    await closed;
    if (memory === 0 && done > FRAMES / 4) memory = residentMb(victim.process!.pid!);
  }
  const { sent, received } = await flow.stop();
  const after = await status(client);
  const grown = residentMb(victim.process!.pid!) - memory;
  console.log(
    `${done} mutated client frames: ${after.drops['clientFrameMalformed']} connections ended, ` +
      `memory grew ${grown.toFixed(1)} MB after the first quarter, honest ${received}/${sent}`,
  );
  expect(after.instance).toBe(before.instance);
  expect(after.clients).toBe(1);
  expect(after.drops['clientFrameMalformed']).toBeGreaterThan(0);
  expect(grown).toBeLessThan(40);
  expect(received).toBeGreaterThanOrEqual(Math.floor(sent * 0.99) - 2);
  await client.close();
}, 600_000);
