/**
 * Clients with certificates, against a daemon in this process: who gets in, who does not and why,
 * and who has to leave.
 */

import { connect as dial, type Socket } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { SpinesClient, type ConnectOptions } from '../../../../spines-client/src/index.ts';
import { makeEphemeral, nodeNoise } from '../../../../spines-client/src/remote/node-noise.ts';
import { NoiseInitiator, type NoiseKeyPair } from '../../../../spines-client/src/shared/noise.ts';
import {
  decodeControl,
  encodeControl,
  FRAME_HELLO,
  FRAME_WELCOME,
  frameHandshake,
  FrameReader,
  RecordOpener,
  RecordSealer,
  REMOTE_PROLOGUE,
} from '../../../../spines-client/src/shared/protocol.ts';
import { NO_NODE } from '../../../../src/core/base/ids.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import type { Identity, Membership } from '../../../../src/core/crypto/membership.ts';
import { startDaemon, type RunningDaemon } from '../../../../src/host/daemon.ts';
import { HANDSHAKE_BURST, PENDING_MAX } from '../../../../src/host/doors/remote-door.ts';
import { stopwatch } from '../../../../src/host/system-clock.ts';
import { makeConfig } from '../../../../src/core/node/config.ts';
import { ROLE_CLIENT, ROLE_ROUTER } from '../../../../src/core/wire/certificate.ts';
import { LOCAL_ACCESS } from '../../../../src/core/ipc/client.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { certificateText, ISSUED_S, Issuer, WallClock } from '../../../support/issuer.ts';

const HOST = '127.0.0.1';
const authority = new Issuer(3);
const own = authority.issue(0x0a000001, 'alpha');
const alice = authority.issue(NO_NODE, 'alice', ROLE_CLIENT);

let wall: WallClock;
let membership: Membership;
let daemon: RunningDaemon;
const open: Socket[] = [];
const clients: SpinesClient[] = [];

beforeEach(async () => {
  const startedAt = stopwatch.now();
  wall = new WallClock({ now: () => stopwatch.now() - startedAt });
  membership = authority.member(own, wall);
  daemon = await startDaemon({
    config: makeConfig({ id: own.certificate.node, name: 'alpha' }),
    listen: [{ address: HOST, port: 0 }],
    client: { socketPath: null, tcp: null, remote: { address: HOST, port: 0 } },
    membership,
    revocationsPath: null,
    reload: null,
    emulation: [],
    emulationSeed: 1,
    log: pino({ level: 'silent' }),
  });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const socket of open.splice(0)) socket.destroy();
  await daemon.stop();
});

const drops = (reason: DropReason): number => daemon.node.drops.of(reason);
function optionsOf(who: Identity): ConnectOptions {
  return {
    host: HOST,
    port: daemon.remotePort!,
    daemonCertificate: certificateText(own),
    certificate: certificateText(who),
    key: authority.keyText(who),
    reconnect: false,
  };
}

async function enter(options: ConnectOptions): Promise<SpinesClient> {
  const client = await SpinesClient.connect(options);
  clients.push(client);
  return client;
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries += 1) {
    if (tries > 400) throw new Error('it does not happen');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A peer of the test's own making, that sends what it is told. */
class Raw {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  closed = false;

  constructor(from = HOST) {
    this.socket = dial({ port: daemon.remotePort!, host: HOST, localAddress: from });
    open.push(this.socket);
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }
}

const pairOf = ({ exchange }: Identity): NoiseKeyPair => ({
  secret: exchange.secret.reveal(),
  publicKey: exchange.publicKey,
});

function initiator(
  who: NoiseKeyPair,
  prologue = REMOTE_PROLOGUE,
  peer = own.certificate.exchangeKey,
): NoiseInitiator {
  return new NoiseInitiator(nodeNoise, prologue, who, makeEphemeral(), peer);
}

describe('a client of the network', () => {
  test('is let in, sends and receives, and is named where clients are listed', async () => {
    const client = await enter(optionsOf(alice));
    expect(client).toMatchObject({ node: '10.0.0.1', name: 'alpha', connected: true });
    const [listener, sender] = [client.datagram(), client.datagram()];
    const got: { size: number; port: number }[] = [];
    listener.on('message', (message, { port }) => got.push({ size: message.length, port }));
    await new Promise<void>((resolve) => listener.bind(90, resolve));
    await sender.ready();
    for (const size of [0, 1, 16_383, 16_384, 65_536]) sender.send(Buffer.alloc(size, 1), 90);
    await until(() => got.length === 5);
    expect(got.map(({ size }) => size)).toEqual([0, 1, 16_383, 16_384, 65_536]);
    const { sessions } = await client.request('sessions');
    expect(sessions).toMatchObject([{ certificate: 'alice', port: 90 }, { certificate: 'alice' }]);
    for (const op of ['shutdown', 'linkSet', 'reload'])
      await expect(client.request(op, { peer: 'alpha', settings: {} })).rejects.toMatchObject({
        code: 'EACCES',
      });
    await expect(client.request('status')).resolves.toMatchObject({ node: '10.0.0.1', clients: 1 });
  });

  test('carries streams of any length', async () => {
    const client = await enter(optionsOf(alice));
    let got = 0;
    const server = client.createServer({}, (socket) =>
      socket.on('data', (data) => {
        got += data.length;
      }),
    );
    await new Promise<void>((resolve) => server.listen(91, resolve));
    const socket = client.stream();
    socket.connect(91);
    socket.end(Buffer.alloc(3_000_000, 7));
    await until(() => got === 3_000_000);
  });

  test('may name the daemon by key, or by an earlier certificate', async () => {
    const { daemonCertificate: _, ...rest } = optionsOf(alice);
    await enter({ ...rest, daemonKey: Buffer.from(own.certificate.exchangeKey).toString('hex') });
    const next = authority.issue(own.certificate.node, 'alpha');
    membership.replace({ identity: next, previous: [own], trust: membership.trust });
    await enter(optionsOf(alice));
    await enter({ ...optionsOf(alice), daemonCertificate: certificateText(next) });
    expect(daemon.node.drops.snapshot()).toEqual({});
  });
});

describe('refused, with the reason counted', () => {
  const other = new Issuer(4),
    second = new Issuer(5, authority);
  test.each<[string, DropReason, () => Identity]>([
    [
      'a certificate of another network',
      DropReason.certificateWrongNetwork,
      () => other.issue(NO_NODE, 'eve', ROLE_CLIENT),
    ],
    [
      'a certificate of an authority that is not trusted',
      DropReason.certificateUnknownAuthority,
      () => second.issue(NO_NODE, 'eve', ROLE_CLIENT),
    ],
    [
      'one that has expired',
      DropReason.certificateExpired,
      () =>
        authority.issue(NO_NODE, 'old', ROLE_CLIENT, {
          notBeforeS: ISSUED_S - 9,
          notAfterS: ISSUED_S - 1,
        }),
    ],
    [
      'one that is not valid yet',
      DropReason.certificateNotYetValid,
      () =>
        authority.issue(NO_NODE, 'new', ROLE_CLIENT, {
          notBeforeS: ISSUED_S + 900,
          notAfterS: ISSUED_S + 999,
        }),
    ],
    [
      'a router that is no client',
      DropReason.certificateRole,
      () => authority.issue(0x0a000007, 'router', ROLE_ROUTER),
    ],
    [
      'one that was revoked',
      DropReason.certificateRevoked,
      () => {
        const bob = authority.issue(NO_NODE, 'bob', ROLE_CLIENT);
        expect(membership.offerRevocations(authority.revoke(bob))).toBe('ok');
        return bob;
      },
    ],
  ])('%s', async (_what, reason, make) => {
    await expect(enter(optionsOf(make()))).rejects.toMatchObject({
      code: 'EACCES',
      message: expect.stringMatching(/^no handshake with the daemon at .*: it hung up; /),
    });
    expect(drops(reason)).toBe(1);
    expect(daemon.node.drops.total).toBe(1);
  });

  test("somebody else's certificate, and one that was altered", async () => {
    const thief = new Raw();
    thief.write(frameHandshake(initiator(makeEphemeral()).writeInit(alice.certificate.bytes)!));
    await until(() => thief.closed);
    expect(drops(DropReason.certificateOfAnother)).toBe(1);
    const altered = alice.certificate.bytes.slice();
    altered[141] = altered[141]! ^ 1;
    const forger = new Raw();
    forger.write(frameHandshake(initiator(pairOf(alice)).writeInit(altered)!));
    await until(() => forger.closed);
    expect(drops(DropReason.certificateForged)).toBe(1);
    expect(thief.received.length + forger.received.length).toBe(0);
  });

  test('handshakes for another daemon or another purpose, and bytes that are none', async () => {
    const cases: [Uint8Array, DropReason][] = [
      [
        frameHandshake(
          initiator(pairOf(alice), REMOTE_PROLOGUE, makeEphemeral().publicKey).writeInit(
            alice.certificate.bytes,
          )!,
        ),
        DropReason.handshakeBroken,
      ],
      [
        frameHandshake(
          initiator(pairOf(alice), Buffer.from('spines link 1')).writeInit(
            alice.certificate.bytes,
          )!,
        ),
        DropReason.handshakeBroken,
      ],
      [
        frameHandshake(initiator(pairOf(alice)).writeInit(new Uint8Array(0))!),
        DropReason.handshakeMalformed,
      ],
      [
        frameHandshake(initiator(pairOf(alice)).writeInit(Uint8Array.of(1))!),
        DropReason.certificateMalformed,
      ],
      [Uint8Array.of(0, 0), DropReason.handshakeMalformed],
      [Uint8Array.of(0xff, 0xff), DropReason.handshakeMalformed],
      [
        encodeControl(FRAME_HELLO, { version: 1, client: 'x'.repeat(60) }),
        DropReason.handshakeMalformed,
      ],
      [new Uint8Array(100_000), DropReason.handshakeMalformed],
      [
        Buffer.concat([
          frameHandshake(initiator(pairOf(alice)).writeInit(alice.certificate.bytes)!),
          Buffer.of(0),
        ]),
        DropReason.handshakeMalformed,
      ],
    ];
    for (const [i, [bytes, reason]] of cases.entries()) {
      const before = drops(reason);
      const raw = new Raw();
      raw.write(bytes);
      await until(() => raw.closed);
      expect(drops(reason) - before, `case ${i}`).toBe(1);
      expect(raw.received.length, `case ${i}`).toBe(0);
    }
    expect(daemon.node.drops.total).toBe(cases.length);
  });

  test('one who asks at another daemon than he thinks', async () => {
    const stranger = authority.issue(0x0a000009, 'stranger');
    await expect(
      enter({ ...optionsOf(alice), daemonCertificate: certificateText(stranger) }),
    ).rejects.toMatchObject({ code: 'EACCES' });
  });
});

describe('before the first record', () => {
  test('a first message that is sent again gets nothing done', async () => {
    const handshake = initiator(pairOf(alice));
    const first = frameHandshake(handshake.writeInit(alice.certificate.bytes)!);
    const honest = new Raw(),
      replayed = new Raw();
    honest.write(first);
    replayed.write(first);
    await until(() => honest.received.length === 50 && replayed.received.length === 50);
    expect(daemon.node.drops.total).toBe(0);
    const { transport } = handshake.readResponse(Uint8Array.from(honest.received.subarray(2)))!;
    const sealed = new RecordSealer(nodeNoise, transport.send).seal(
      encodeControl(FRAME_HELLO, { version: 1, client: 'honest' }),
    );
    // The daemon's keys differ per connection: what one sealed is nothing on the other.
    replayed.write(sealed);
    await until(() => replayed.closed);
    expect(drops(DropReason.handshakeBroken)).toBe(1);
    honest.write(sealed);
    await until(() => honest.received.length > 50);
    const frames: { type: number; body: unknown }[] = [];
    const reader = new FrameReader({
      onFrame: (type, bytes, start, end) =>
        frames.push({ type, body: decodeControl(bytes.slice(start, end)) }),
    });
    expect(
      new RecordOpener(nodeNoise, transport.receive, (bytes) => reader.push(bytes)).push(
        honest.received.subarray(50),
      ),
    ).toBe(true);
    expect(frames).toMatchObject([{ type: FRAME_WELCOME, body: { name: 'alpha' } }]);
    // And neither is a sealed record a second time.
    honest.write(sealed);
    await until(() => honest.closed);
    expect(drops(DropReason.sealBroken)).toBe(1);
  });

  test('there are so many connections at a time, and each has so much time', async () => {
    const raws = Array.from({ length: PENDING_MAX + 7 }, () => new Raw());
    await until(() => raws.filter((raw) => raw.closed).length === 7);
    expect(drops(DropReason.clientRefused)).toBe(7);
    const before = stopwatch.now();
    for (let tries = 0; raws.some((raw) => !raw.closed); tries += 1) {
      if (tries > 700) throw new Error('they stay');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(stopwatch.now() - before).toBeGreaterThan(3 * SECOND);
    expect(drops(DropReason.clientUnauthenticated)).toBe(PENDING_MAX);
    await enter(optionsOf(alice));
  }, 20_000);

  // What costs a handshake comes from elsewhere: what an address may have of them, its programs
  // share.
  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), HOST],
    ['half a message', Uint8Array.of(0, 200, 1, 2, 3), HOST],
    [
      'a first message that was seen elsewhere',
      frameHandshake(initiator(pairOf(alice)).writeInit(alice.certificate.bytes)!),
      '127.0.0.9',
    ],
  ])(
    'who holds connections that say %s keeps nobody out',
    async (_what, say, from) => {
      let over = false;
      const hold = (): void => {
        if (over) return;
        const raw = new Raw(from);
        if (say.length > 0) raw.write(say);
        raw.socket.once('close', () => setTimeout(hold, 20));
      };
      try {
        for (let i = 0; i < PENDING_MAX + 10; i += 1) hold();
        await until(
          () => drops(DropReason.clientRefused) + drops(DropReason.handshakeOverBudget) > 0,
        );
        for (let i = 0; i < 5; i += 1) await (await enter(optionsOf(alice))).request('status');
      } finally {
        over = true;
      }
    },
    20_000,
  );

  test('there are so many handshakes a second', async () => {
    let asked = 0;
    for (let round = 0; round < 6; round += 1) {
      const raws = Array.from({ length: 40 }, () => new Raw());
      for (const raw of raws) raw.write(frameHandshake(new Uint8Array(200)));
      await until(() => raws.every((raw) => raw.closed));
      asked += raws.length;
    }
    expect(drops(DropReason.handshakeBroken)).toBeGreaterThanOrEqual(HANDSHAKE_BURST);
    expect(drops(DropReason.handshakeOverBudget)).toBeGreaterThan(0);
    expect(drops(DropReason.handshakeBroken) + drops(DropReason.handshakeOverBudget)).toBe(asked);
  }, 20_000);
});

describe('places', () => {
  test(
    'one certificate has its share of them, ' +
      'and all together leave some to programs of this machine',
    async () => {
      const { clients: most, clientsPerCertificate: share } = {
        clients: 16,
        clientsPerCertificate: 6,
      };
      daemon.node.reconfigure({
        ...daemon.node.config,
        limits: { ...daemon.node.config.limits, clients: most, clientsPerCertificate: share },
      });
      for (let i = 0; i < share; i += 1) await enter(optionsOf(alice));
      await expect(enter(optionsOf(alice))).rejects.toMatchObject({
        code: 'EMFILE',
        message: expect.stringMatching(
          /6 clients with the certificate alice .*limits\.clientsPerCertificate/,
        ),
      });
      const bob = authority.issue(NO_NODE, 'bob', ROLE_CLIENT),
        carol = authority.issue(NO_NODE, 'carol', ROLE_CLIENT);
      for (let i = 0; i < share; i += 1) await enter(optionsOf(bob));
      for (let i = 0; i < 2; i += 1) await enter(optionsOf(carol));
      await expect(enter(optionsOf(carol))).rejects.toMatchObject({
        code: 'EMFILE',
        message: expect.stringMatching(/14 remote clients are connected/),
      });
      expect(daemon.node.whyNoPlace(LOCAL_ACCESS)).toBeNull();
      await clients.shift()!.close();
      await until(
        () =>
          daemon.node.whyNoPlace({ ...LOCAL_ACCESS, certificate: 'alice', role: 'use' }) === null,
      );
      await enter(optionsOf(alice));
    },
  );

  test('sockets are counted for all connections of one certificate', async () => {
    daemon.node.reconfigure({
      ...daemon.node.config,
      limits: { ...daemon.node.config.limits, socketsPerClient: 5 },
    });
    const [one, two] = [await enter(optionsOf(alice)), await enter(optionsOf(alice))];
    for (let i = 0; i < 3; i += 1) await one.datagram().ready();
    for (let i = 0; i < 2; i += 1) await two.datagram().ready();
    await expect(two.datagram().ready()).rejects.toMatchObject({ code: 'EMFILE' });
    await (await enter(optionsOf(authority.issue(NO_NODE, 'bob', ROLE_CLIENT)))).datagram().ready();
  });
});

describe('a client that is connected', () => {
  async function leaves(
    client: SpinesClient,
  ): Promise<{ code: string; message: string; afterUs: number }> {
    const before = stopwatch.now();
    const error = await new Promise<{ code: string; message: string }>((resolve) =>
      client.once('disconnect', resolve),
    );
    return { code: error.code, message: error.message, afterUs: stopwatch.now() - before };
  }

  test('leaves when it is revoked, and others stay', async () => {
    const bob = authority.issue(NO_NODE, 'bob', ROLE_CLIENT);
    const [client, stays] = [await enter(optionsOf(bob)), await enter(optionsOf(alice))];
    const gone = leaves(client);
    membership.offerRevocations(authority.revoke(bob));
    expect(await gone).toMatchObject({
      code: 'EACCES',
      message: expect.stringMatching(
        /certificate bob is no longer accepted \(certificateRevoked\)/,
      ),
    });
    expect((await gone).afterUs).toBeLessThan(2 * SECOND);
    expect(drops(DropReason.certificateRevoked)).toBe(1);
    expect(stays.connected).toBe(true);
    await expect(stays.request('status')).resolves.toMatchObject({ clients: 1 });
  });

  test('leaves when its certificate expires', async () => {
    const client = await enter(optionsOf(alice));
    const gone = leaves(client);
    wall.wrongBy = 40_000_000 * SECOND;
    expect((await gone).afterUs).toBeLessThan(2 * SECOND);
    expect(
      drops(DropReason.certificateExpired) + drops(DropReason.certificateAuthorityNotValid),
    ).toBe(1);
  });

  test('does not come back when it would be refused for good', async () => {
    const bob = authority.issue(NO_NODE, 'bob', ROLE_CLIENT);
    const client = await enter({ ...optionsOf(bob), reconnect: true });
    const error = new Promise<unknown>((resolve) => client.once('error', resolve));
    membership.offerRevocations(authority.revoke(bob));
    expect(await error).toMatchObject({ code: 'EACCES', syscall: 'authenticate' });
    await until(() => client.closed);
  });
});

describe('options', () => {
  test('that make no sense are told before anything is sent', () => {
    const right = optionsOf(alice);
    const damaged = Buffer.from(
      authority.keyText(alice).replace(/\n(.)/, (_, c: string) => `\n${c === 'B' ? 'C' : 'B'}`),
    );
    const cases: [ConnectOptions, RegExp][] = [
      [{ ...right, key: authority.keyText(own) }, /^key does not belong to the certificate; /],
      [{ ...right, key: authority.keyText(alice, 'secret') }, /^key has a passphrase.*decrypted/],
      [
        { ...right, key: certificateText(alice) },
        /^key is a spines certificate, not a spines private key; /,
      ],
      [
        { ...right, key: 'x' },
        /^key must be the text of a file that begins with -----BEGIN SPINES PRIVATE KEY-----/,
      ],
      [{ ...right, key: damaged }, /^key is damaged/],
      [{ ...right, certificate: authority.keyText(alice) }, /^certificate is a spines private key/],
      [{ ...right, certificate: undefined }, /^certificate is missing/],
      [{ ...right, key: undefined }, /^key is missing/],
      [{ ...right, daemonCertificate: undefined }, /^daemonCertificate or daemonKey/],
      [{ ...right, daemonKey: 'ab' }, /^daemonCertificate or daemonKey/],
      [
        { ...right, daemonCertificate: undefined, daemonKey: 'ab' },
        /^daemonKey must be 64 hexadecimal digits/,
      ],
      [{ ...right, token: 'x' }, /either a token or certificates/],
      [{ path: '/x', key: 'y' }, /certificates are for a daemon with host and port/],
      [{ token: 'y' }, /a token is for a daemon with host and port/],
    ];
    for (const [options, message] of cases)
      expect(() => new SpinesClient(options), String(message)).toThrow(message);
  });

  test('never show the key', async () => {
    const client = await enter(optionsOf(alice));
    const { inspect } = await import('node:util');
    const secret = Buffer.from(alice.exchange.secret.reveal());
    for (const shown of [inspect(client, { depth: 9, showHidden: true }), JSON.stringify(client)]) {
      expect(shown).not.toContain(secret.toString('hex'));
      expect(shown).not.toContain(secret.toString('base64').slice(0, 20));
    }
  });
});
