/**
 * The daemon's door for client programs of other machines: TCP, a handshake with certificates, then
 * sealed records.
 *
 * ```
 *   (accept) --> greeting --INIT admitted, answered--> answered --first record opens--> open
 *                   |                                     |                              |
 *                   +--------- 5 s, or anything wrong ----+----> closed
 *                                    (also when revoked, expired or hung up)
 * ```
 *
 * Client: u16 length | Noise IK message 1 with its certificate as payload. Daemon: u16 length = 48
 * | message 2 without one. Then records (spines-client/sealed-records.ts). Message 1 can be sent
 * again by whoever saw it, so that until a record opens, which takes the keys, a connection has no
 * ClientPort and costs a bounded piece of memory. Whoever is refused is told nothing; the reason is
 * counted and logged here. Trusts nothing that came over the network. Who is admitted is
 * Membership's to say, again at every change of it and each second.
 */

import { createServer, type Server, type Socket } from 'node:net';

import {
  NOISE_INIT_OVERHEAD,
  NoiseResponder,
  type NoiseKeyPair,
  type NoiseTransport,
} from 'spines-client/noise';
import {
  encodeControl,
  FRAME_EVENT,
  frameHandshake,
  RecordOpener,
  RecordSealer,
  RECORD_HEAD_BYTES,
  REMOTE_PROLOGUE,
} from 'spines-client/protocol';
import { equalBytes, getU16 } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import type { Log } from '../../core/base/log.ts';
import { SharedBudget } from '../../core/base/shared-budget.ts';
import { sourceOf } from '../../core/base/source-budget.ts';
import { TokenBucket } from '../../core/base/token-bucket.ts';
import { certificateLabel, type Membership } from '../../core/crypto/membership.ts';
import { REMOTE_ROLE, type ClientOut } from '../../core/ipc/client.ts';
import type { ClientRole } from '../../core/ipc/roles.ts';
import {
  CERTIFICATE_BYTES_MAX,
  decodeCertificate,
  ROLE_CLIENT,
  type Certificate,
} from '../../core/wire/certificate.ts';
import { DropReason, dropReasonName, type DropCounters } from '../../core/wire/drop.ts';
import { Anteroom } from './anteroom.ts';
import type { DoorEvents, DoorPort } from './ipc-server.ts';
import { stopwatch } from '../system-clock.ts';

/** From the connection to the first record. */
const AUTHENTICATE_MS = 5_000;
/** Connections that have not come so far yet; whoever has most of them gives way. */
export const PENDING_MAX = 256;
export const HANDSHAKES_PER_SECOND = 50;
export const HANDSHAKE_BURST = 100;
/**
 * Beyond those that everybody shares, for addresses that make no more than their share of
 * handshakes.
 */
const KEPT_PER_SECOND = 25,
  KEPT_BURST = 50,
  SHARE_PER_SECOND = 2,
  SHARE_BURST = 8,
  SOURCES_MAX = 1_024;
const RECHECK_MS = 1_000;
const LINGER_MS = 1_000;
/** Refusals that are logged; all are counted. */
const LOGGED_PER_SECOND = 1,
  LOGGED_BURST = 20;
const KEY_BYTES = 32;
const INIT_BYTES_MAX = NOISE_INIT_OVERHEAD + CERTIFICATE_BYTES_MAX;

type DoorState = 'greeting' | 'answered' | 'open' | 'closed';

const EDGES: Readonly<Record<DoorState, readonly DoorState[]>> = {
  greeting: ['answered', 'closed'],
  answered: ['open', 'closed'],
  open: ['closed'],
  closed: [],
};

export class RemoteDoor {
  readonly membership: Membership;
  readonly roleOf: (who: Certificate) => ClientRole;
  readonly #drops: () => DropCounters | undefined;
  readonly #events: DoorEvents;
  readonly #log: Log;
  readonly #clients = new Set<RemoteClient>();
  readonly #handshakes = new SharedBudget({
    perSecond: HANDSHAKES_PER_SECOND,
    burst: HANDSHAKE_BURST,
    keptPerSecond: KEPT_PER_SECOND,
    keptBurst: KEPT_BURST,
    sharePerSecond: SHARE_PER_SECOND,
    shareBurst: SHARE_BURST,
    sources: SOURCES_MAX,
  });
  readonly #logged = new TokenBucket(LOGGED_PER_SECOND, LOGGED_BURST);
  readonly #dirty: RemoteClient[] = [];
  #server: Server | null = null;
  #recheckTimer: NodeJS.Timeout | null = null;
  readonly #pending = new Anteroom<RemoteClient>(PENDING_MAX, (client) => {
    this.#events.onRefused(
      `${PENDING_MAX} connections of remote clients have not shown a certificate yet; the oldest ` +
        'of the address with most gave way',
      false,
    );
    client.drop();
  });

  /**
   * `drops`: asked for when something is dropped, since the node comes after its doors. `roleOf`:
   * what the holder of a certificate may do.
   */
  constructor(
    membership: Membership,
    drops: () => DropCounters | undefined,
    log: Log,
    events: DoorEvents,
    roleOf: (who: Certificate) => ClientRole = () => REMOTE_ROLE,
  ) {
    this.membership = membership;
    this.roleOf = roleOf;
    this.#drops = drops;
    this.#log = log;
    this.#events = events;
    membership.onChange(() => this.#recheck());
  }

  /** Throws SpinesError when the address can't be had. The port that was taken. */
  async listen(address: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          new SpinesError(
            error.code ?? 'EIO',
            `can't listen for remote clients on ${address}:${port}: ` +
              `${error.code ?? error.message}; choose another client.remote`,
          ),
        );
      });
      server.listen({ host: address, port }, resolve);
    });
    this.#server = server;
    this.#recheckTimer = setInterval(() => this.#recheck(), RECHECK_MS);
    this.#recheckTimer.unref();
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : port;
  }

  /** What was written in this turn leaves. */
  flush(): void {
    for (let i = 0; i < this.#dirty.length; i += 1) this.#dirty[i]!.flush();
    this.#dirty.length = 0;
  }

  async close(): Promise<void> {
    this.flush();
    if (this.#recheckTimer !== null) clearInterval(this.#recheckTimer);
    const server = this.#server;
    if (server === null) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const client of [...this.#clients]) client.end();
    await closed;
  }

  /* -------------------------------------------------------------- for its connections */

  get events(): DoorEvents {
    return this.#events;
  }

  /**
   * An address that floods uses up what is everybody's, and its own share; not what is kept for
   * others.
   */
  takeHandshake(source: string): boolean {
    return this.#handshakes.take(source, stopwatch.now());
  }

  markDirty(client: RemoteClient): void {
    this.#dirty.push(client);
  }

  /** A connection is refused, or ends for a reason. */
  count(reason: DropReason, from: string, who: Certificate | null): void {
    this.#drops()?.count(reason);
    if (!this.#logged.take(stopwatch.now())) return;
    this.#log.warn(
      {
        from,
        reason: dropReasonName(reason),
        ...(who === null ? {} : { certificate: certificateLabel(who) }),
      },
      'remote client refused',
    );
  }

  admitted(client: RemoteClient, from: string, who: Certificate): void {
    this.#pending.leave(client);
    this.#log.info({ from, certificate: certificateLabel(who) }, 'remote client connected');
  }

  gone(client: RemoteClient): void {
    this.#pending.leave(client);
    this.#clients.delete(client);
  }

  #onConnection(socket: Socket): void {
    const client = new RemoteClient(this, socket);
    this.#clients.add(client);
    this.#pending.enter(client, client.source);
  }

  /** Whether everybody who is connected may be, with the role that he has. */
  #recheck(): void {
    for (const client of [...this.#clients]) client.recheck();
  }

  /** Roles have changed. */
  onRoles(): void {
    this.#recheck();
  }
}

class RemoteClient implements ClientOut {
  readonly #door: RemoteDoor;
  readonly #socket: Socket;
  readonly #from: string;
  /** Whose connection it is as long as no certificate says so. */
  readonly source: string;
  readonly #init = new Uint8Array(RECORD_HEAD_BYTES + INIT_BYTES_MAX);
  readonly #deadline: NodeJS.Timeout;
  #initBytes = 0;
  #state: DoorState = 'greeting';
  #certificate: Certificate | null = null;
  #opener: RecordOpener | null = null;
  #sealer: RecordSealer | null = null;
  #port: DoorPort | null = null;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;

  constructor(door: RemoteDoor, socket: Socket) {
    this.#door = door;
    this.#socket = socket;
    this.#from = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    this.source = sourceOf(socket.remoteAddress ?? '');
    this.#deadline = setTimeout(
      () => this.#refuse(DropReason.clientUnauthenticated),
      AUTHENTICATE_MS,
    );
    this.#deadline.unref();
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onGone());
  }

  /* -------------------------------------------------------------- towards the client */

  get bufferedBytes(): number {
    return this.#partsBytes + this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    if (this.#state === 'closed' || bytes.length === 0) return;
    if (this.#parts.length === 0) this.#door.markDirty(this);
    this.#parts.push(bytes);
    this.#partsBytes += bytes.length;
  }

  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const joined = new Uint8Array(head.length + end - start);
    joined.set(head, 0);
    joined.set(bytes.subarray(start, end), head.length);
    this.write(joined);
  }

  flush(): void {
    if (this.#parts.length === 0 || this.#sealer === null) return;
    const joined =
      this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts, this.#partsBytes);
    this.#parts = [];
    this.#partsBytes = 0;
    if (!this.#socket.destroyed) this.#socket.write(this.#sealer.seal(joined));
  }

  end(): void {
    if (this.#state === 'closed') return;
    this.flush();
    this.#leave();
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }

  /* -------------------------------------------------------------- from the client */

  #onData(chunk: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'greeting') {
      this.#onInit(chunk);
      return;
    }
    const { events } = this.#door;
    events.onTurn();
    if (!this.#opener!.push(chunk))
      this.#refuse(this.#isOpen() ? DropReason.sealBroken : DropReason.handshakeBroken);
    events.onTurnEnd();
  }

  /**
   * One message of exactly the length it says, and nothing behind it: who has no answer yet can't
   * seal.
   */
  #onInit(chunk: Uint8Array): void {
    const room = this.#init.length - this.#initBytes;
    if (chunk.length > room) {
      this.#refuse(DropReason.handshakeMalformed);
      return;
    }
    this.#init.set(chunk, this.#initBytes);
    this.#initBytes += chunk.length;
    if (this.#initBytes < RECORD_HEAD_BYTES) return;
    const length = getU16(this.#init, 0);
    const left = length + RECORD_HEAD_BYTES - this.#initBytes;
    if (length <= NOISE_INIT_OVERHEAD || length > INIT_BYTES_MAX || left < 0)
      this.#refuse(DropReason.handshakeMalformed);
    else if (left === 0)
      this.#answer(this.#init.subarray(RECORD_HEAD_BYTES, RECORD_HEAD_BYTES + length));
  }

  #answer(message: Uint8Array): void {
    const { membership } = this.#door;
    if (!this.#door.takeHandshake(this.source)) {
      this.#refuse(DropReason.handshakeOverBudget);
      return;
    }
    const read = this.#read(message);
    if (read === null) {
      this.#refuse(DropReason.handshakeBroken);
      return;
    }
    const { responder, payload } = read;
    const judged = membership.admit(payload, 0, payload.length, ROLE_CLIENT);
    if (typeof judged === 'number') {
      const claimed = decodeCertificate(payload);
      this.#refuse(judged, typeof claimed === 'string' ? null : claimed);
      return;
    }
    this.#certificate = judged;
    // The certificate is public: only who holds its key may come with it.
    if (!equalBytes(judged.exchangeKey, responder.peerStatic)) {
      this.#refuse(DropReason.certificateOfAnother);
      return;
    }
    const answer = responder.writeResponse(this.#ephemeral(), new Uint8Array(0));
    if (answer === null) {
      this.#refuse(DropReason.handshakeBroken);
      return;
    }
    this.#become('answered');
    this.#socket.write(frameHandshake(answer.message));
    this.#seal(answer.transport);
  }

  /** Whoever knows an earlier identity of this daemon may still use it. */
  #read(message: Uint8Array): { responder: NoiseResponder; payload: Uint8Array } | null {
    const { membership } = this.#door;
    for (const { exchange } of [membership.identity, ...membership.previous]) {
      const responder = new NoiseResponder(membership.primitives, REMOTE_PROLOGUE, {
        secret: exchange.secret.reveal(),
        publicKey: exchange.publicKey,
      });
      const payload = responder.readInit(message);
      if (payload !== null) return { responder, payload };
    }
    return null;
  }

  #ephemeral(): NoiseKeyPair {
    const { membership } = this.#door;
    const secret = new Uint8Array(KEY_BYTES);
    membership.random.fill(secret);
    return { secret, publicKey: membership.primitives.x25519PublicKey(secret) };
  }

  #seal({ send, receive }: NoiseTransport): void {
    const { primitives } = this.#door.membership;
    this.#sealer = new RecordSealer(primitives, send);
    this.#opener = new RecordOpener(primitives, receive, (bytes) => this.#onPlain(bytes));
  }

  #onPlain(bytes: Uint8Array): void {
    if (this.#state === 'answered') this.#open();
    if (this.#isOpen()) this.#port!.onBytes(bytes);
  }

  /** The first record opened: nobody but the holder of the certificate's key can have sealed it. */
  #open(): void {
    const certificate = this.#certificate!;
    this.#become('open');
    clearTimeout(this.#deadline);
    this.#door.admitted(this, this.#from, certificate);
    const role = this.#door.roleOf(certificate);
    const port = this.#door.events.onClient(this, {
      tokenGrant: null,
      certificate: certificate.name,
      groups: certificate.groups,
      role,
      user: null,
      from: this.#from,
    });
    if (typeof port !== 'string') {
      this.#port = port;
      return;
    }
    this.#door.events.onRefused(port, true);
    this.write(encodeControl(FRAME_EVENT, { event: 'closing', code: 'EMFILE', message: port }));
    this.end();
  }

  /** Whether the certificate is still good. */
  recheck(): void {
    const certificate = this.#certificate;
    if (certificate === null || this.#state === 'closed') return;
    const judged = this.#door.membership.admit(
      certificate.bytes,
      0,
      certificate.bytes.length,
      ROLE_CLIENT,
    );
    const { events } = this.#door;
    const port = this.#port;
    if (typeof judged !== 'number') {
      const role = this.#door.roleOf(certificate);
      if (port === null || role === port.access.role) return;
      events.onTurn();
      port.dismiss(`${certificate.name} has the role ${role} here from now on; connect again`);
      events.onTurnEnd();
      return;
    }
    if (port === null) {
      this.#refuse(judged);
      return;
    }
    this.#door.count(judged, this.#from, certificate);
    events.onTurn();
    port.dismiss(
      `the certificate ${certificate.name} is no longer accepted (${dropReasonName(judged)}); ` +
        `have a new one made with \`spines keys\``,
    );
    events.onTurnEnd();
  }

  /* -------------------------------------------------------------- the end */

  #refuse(reason: DropReason, who = this.#certificate): void {
    if (this.#state === 'closed') return;
    this.#door.count(reason, this.#from, who);
    this.drop();
  }

  /** At once, without a word. */
  drop(): void {
    const port = this.#port;
    this.#leave();
    this.#socket.destroy();
    port?.close();
  }

  #onGone(): void {
    const { events } = this.#door;
    events.onTurn();
    this.#leave();
    this.#port?.close();
    events.onTurnEnd();
  }

  #leave(): void {
    if (this.#state === 'closed') return;
    this.#become('closed');
    clearTimeout(this.#deadline);
    this.#parts = [];
    this.#partsBytes = 0;
    this.#door.gone(this);
  }

  #isOpen(): boolean {
    return this.#state === 'open';
  }

  #become(next: DoorState): void {
    if (!EDGES[this.#state].includes(next))
      throw new Error(`remote client: ${this.#state} -> ${next}`);
    this.#state = next;
  }
}
