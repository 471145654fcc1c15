/**
 * One connected client, seen from the daemon: frames in, frames out, and the sockets it owns.
 *
 * Trusts nothing: a frame that does not parse, a socket it does not own or a request without sense
 * costs that client an error reply or its connection, and nobody else anything. Everything it can
 * make the daemon hold is bounded: sockets, the unfinished frame, unread bytes, outstanding probes.
 * Sessions do the sending and receiving; requests about the daemon itself go to ClientServices.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import { getU32 } from '../base/bytes.ts';
import { SECOND, Timer, type Micros } from '../base/time.ts';
import {
  LOCAL_ACCESS,
  type Asker,
  type ClientAccess,
  type ClientOut,
  type ConnectedClient,
  type Reply,
  type TokenGrant,
} from './client.ts';
import { ClientDatagrams } from './client-datagrams.ts';
import { ClientGate } from './client-gate.ts';
import { ClientReports } from './client-reports.ts';
import { ClientRequests } from './client-requests.ts';
import { ClientRules } from './client-rules.ts';
import type { ClientServices } from './client-services.ts';
import { ClientStreams } from './client-streams.ts';
import { includes, type ClientRole } from './roles.ts';
import type { ReachedTarget } from '../session/firewall.ts';
import { DropReason } from '../wire/drop.ts';
import {
  decodeControl,
  encodeControl,
  FRAME_EVENT,
  FRAME_HELLO,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_STREAM_CREDIT,
  FRAME_STREAM_DATA,
  FRAME_STREAM_END,
  FRAME_STREAM_RESET,
  FRAME_WELCOME,
  FrameReader,
  HELLO_BYTES_MAX,
  PROTOCOL_VERSION,
  STREAM_HEAD_BYTES,
} from 'spines-client/protocol';

const HELLO_TIME: Micros = 5 * SECOND;
/** An unfinished frame may take this long. */
const FRAME_TIME: Micros = 30 * SECOND;
const REQUESTS_OUTSTANDING_MAX = 1024;

export class ClientPort implements ConnectedClient {
  /** What the client calls itself; '' before its HELLO. */
  name = '';
  /** It said that it makes requests and opens no sockets. */
  asksOnly = false;
  readonly access: ClientAccess;
  readonly datagrams: ClientDatagrams;
  readonly streams: ClientStreams;
  readonly #services: ClientServices;
  readonly #out: ClientOut;
  readonly #reader: FrameReader;
  readonly #patience = new Timer(() => this.#onPatienceOver());
  readonly #gate: ClientGate;
  readonly #rules: ClientRules;
  readonly #reports: ClientReports;
  readonly #requests: ClientRequests;
  #greeted = false;
  #closed = false;
  #outstanding = 0;
  #grant: TokenGrant | null = null;

  constructor(services: ClientServices, out: ClientOut, access: ClientAccess = LOCAL_ACCESS) {
    this.#services = services;
    this.#out = out;
    this.access = access;
    const { clock, timers } = services;
    this.#rules = new ClientRules(services, access);
    this.#reports = new ClientReports(out, clock, timers, () => services.queueBytes);
    const rate = services.places.rateOf(access.certificate, services);
    this.#gate = new ClientGate(rate, clock, timers, () => {
      this.datagrams.onRateOpen();
      this.#gate.beginHeld();
      this.streams.grantHeld();
    });
    const { watch } = services;
    this.datagrams = new ClientDatagrams(
      services,
      out,
      this.#gate,
      this.#rules,
      this.#reports,
      (session, closed) => watch.listener?.onDatagram(this, session, closed),
    );
    this.streams = new ClientStreams(
      services.streams,
      out,
      services.socketsMax,
      (node) => services.nameOf(node) ?? formatNodeId(node),
      this.#gate,
      {
        onOpened: (socket) => watch.listener?.onStream(this, socket, false, null),
        onClosed: (socket, code) => watch.listener?.onStream(this, socket, true, code),
      },
    );
    this.#requests = new ClientRequests({
      client: this,
      services,
      datagrams: this.datagrams,
      streams: this.streams,
      gate: this.#gate,
      rules: this.#rules,
    });
    this.#reader = new FrameReader({
      onFrame: (type, bytes, start, end) => this.#onFrame(type, bytes, start, end),
    });
    timers.arm(this.#patience, clock.now() + HELLO_TIME);
  }

  get sockets(): number {
    return this.datagrams.size + this.streams.size;
  }

  /** It has said HELLO, and may be here. */
  get greeted(): boolean {
    return this.#greeted;
  }

  get role(): ClientRole {
    return this.#grant?.role ?? this.access.role;
  }

  /** Who it is, as far as it shows. */
  get asker(): Asker {
    const { from, user, certificate } = this.access;
    return {
      program: this.name,
      role: this.role,
      from,
      user,
      certificate,
      token: this.#grant?.file ?? null,
    };
  }

  get bufferedBytes(): number {
    return this.#out.bufferedBytes;
  }

  /** Bytes from the client; `chunk` may be reused after the call. */
  onBytes(chunk: Uint8Array): void {
    if (this.#closed) return;
    const whole = this.#reader.push(chunk);
    if (this.#closed) return;
    if (!whole) {
      this.#fail('a frame has an impossible length');
      return;
    }
    if (!this.#greeted) {
      // Whoever nobody knows yet gets no memory for a long frame.
      if (this.#reader.pendingBytes > HELLO_BYTES_MAX) this.#fail('a HELLO is too long');
      return;
    }
    if (this.#reader.pendingBytes === 0) this.#services.timers.cancel(this.#patience);
    else if (!this.#patience.armed)
      this.#services.timers.arm(this.#patience, this.#services.clock.now() + FRAME_TIME);
  }

  /** The connection is gone, or shall go: sockets close, nothing more is written. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#services.timers.cancel(this.#patience);
    this.#reports.close();
    this.#gate.close();
    this.datagrams.closeAll();
    this.streams.closeAll();
    this.#out.end();
    this.#services.onClosed(this);
  }

  /**
   * Ends the connection because the client may not, or no longer, use this daemon; `why` is for its
   * user.
   */
  dismiss(why: string, code = 'EACCES'): void {
    if (this.#closed) return;
    this.#out.write(encodeControl(FRAME_EVENT, { event: 'closing', code, message: why }));
    this.close();
  }

  tell(event: object): boolean {
    if (this.#closed || this.#out.bufferedBytes > this.#services.queueBytes / 2) return false;
    this.#out.write(encodeControl(FRAME_EVENT, event));
    return true;
  }

  aim(node: NodeId, port: Port, localPort: Port, target: ReachedTarget): void {
    this.streams.aim(node, port, localPort, target);
  }

  /** Rules have changed: what this client may not do any more, it does not do any more. */
  onRules(): void {
    if (!this.#rules.any || this.#closed) return;
    for (const { stream } of [...this.streams.sockets()]) {
      if (
        stream === null ||
        !stream.initiator ||
        this.#rules.may('send', stream.node, stream.port, 'stream')
      )
        continue;
      this.#services.drops.count(DropReason.firewallClient);
      stream.reset();
    }
    const { self } = this.#services;
    const datagrams = [...this.datagrams.bound()].map((session) => ({
      port: session.port,
      kind: 'datagram' as const,
    }));
    const listeners = [...this.streams.sockets()]
      .filter(({ listening }) => listening)
      .map(({ port }) => ({ port, kind: 'stream' as const }));
    const refused = [...datagrams, ...listeners].find(
      ({ port, kind }) => !this.#rules.may('listen', self, port, kind),
    );
    if (refused !== undefined) this.dismiss(this.#rules.forbidden('listen', refused.port).message);
  }

  /** Tells the client that the daemon is going down. */
  onDraining(): void {
    if (this.#greeted && !this.#closed)
      this.#out.write(encodeControl(FRAME_EVENT, { event: 'draining' }));
  }

  /* -------------------------------------------------------------- from the client */

  #onFrame(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#closed) return;
    if (!this.#greeted) {
      this.#onHello(type, bytes, start, end);
      return;
    }
    // The frame that was waited for is whole. One that begins behind it has its own time, even when
    // every chunk ends within a frame.
    this.#services.timers.cancel(this.#patience);
    if (type === FRAME_SEND) {
      if (!this.datagrams.onSend(bytes, start, end)) this.#fail('a SEND frame is malformed');
    } else if (type === FRAME_STREAM_DATA) this.#onStreamData(bytes, start, end);
    else if (type === FRAME_REQUEST) this.#onRequest(bytes, start, end);
    else if (
      type === FRAME_STREAM_CREDIT ||
      type === FRAME_STREAM_END ||
      type === FRAME_STREAM_RESET
    )
      this.#onStreamControl(type, bytes, start, end);
    else this.#fail(`frames of type ${type} are not for a client to send`);
  }

  #onHello(type: number, bytes: Uint8Array, start: number, end: number): void {
    const hello = type === FRAME_HELLO ? decodeControl(bytes.subarray(start, end)) : null;
    if (hello === null) {
      this.#fail('the first frame must be a HELLO');
      return;
    }
    const { tokenGrant } = this.access;
    const token = hello['token'];
    this.#grant = tokenGrant === null || typeof token !== 'string' ? null : tokenGrant(token);
    if (tokenGrant !== null && this.#grant === null) {
      this.#services.drops.count(DropReason.clientUnauthenticated);
      this.dismiss(
        token === undefined
          ? 'over TCP it wants a token; give the contents of its token file (client.tcp.token), ' +
              'or SPINES_TOKEN_FILE, or use its Unix socket'
          : 'the token is not that of this daemon; copy its token file (client.tcp.token) again',
      );
      return;
    }
    if (hello['version'] !== PROTOCOL_VERSION) {
      this.#out.write(encodeControl(FRAME_WELCOME, this.#services.welcome()));
      this.#fail('wrong protocol version');
      return;
    }
    this.asksOnly = hello['asksOnly'] === true;
    // Of a certificate it is known before: it has its place by now.
    const noPlace = this.access.certificate === null ? this.#services.places.take(this) : null;
    if (noPlace !== null) {
      this.#services.drops.count(DropReason.clientRefused);
      this.dismiss(noPlace, 'EMFILE');
      return;
    }
    this.#greeted = true;
    this.name = typeof hello['client'] === 'string' ? hello['client'].slice(0, 64) : '';
    this.#services.timers.cancel(this.#patience);
    this.#out.write(encodeControl(FRAME_WELCOME, { ...this.#services.welcome(), role: this.role }));
  }

  #onStreamData(bytes: Uint8Array, start: number, end: number): void {
    if (
      end - start < STREAM_HEAD_BYTES ||
      !this.streams.onData(getU32(bytes, start), bytes, start + STREAM_HEAD_BYTES, end)
    ) {
      this.#fail('stream data beyond credit');
    }
  }

  #onStreamControl(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== (type === FRAME_STREAM_CREDIT ? 8 : 4)) {
      this.#fail('a stream frame is malformed');
      return;
    }
    const socket = getU32(bytes, start);
    if (type === FRAME_STREAM_CREDIT) this.streams.onCredit(socket, getU32(bytes, start + 4));
    else if (type === FRAME_STREAM_END) this.streams.onEnd(socket);
    else this.streams.onReset(socket);
  }

  #onRequest(bytes: Uint8Array, start: number, end: number): void {
    const request = decodeControl(bytes.subarray(start, end));
    const id = request?.['id'];
    const op = request?.['op'];
    if (
      request === null ||
      typeof id !== 'number' ||
      !Number.isInteger(id) ||
      id < 1 ||
      id > 0xffff_ffff ||
      typeof op !== 'string'
    ) {
      this.#fail('a REQUEST is not a map with an id and an op');
      return;
    }
    if (
      this.#outstanding >= REQUESTS_OUTSTANDING_MAX ||
      this.#out.bufferedBytes > 2 * this.#services.queueBytes
    ) {
      this.#fail('requests come faster than their replies are read');
      return;
    }
    let answered = false;
    this.#outstanding += 1;
    const reply: Reply = (result) => {
      if (answered) return;
      answered = true;
      this.#outstanding -= 1;
      if (this.#closed) return;
      const body =
        result instanceof SpinesError
          ? { id, ok: false, code: result.code, message: result.message }
          : { ...result, id, ok: true };
      this.#out.write(encodeControl(FRAME_REPLY, body));
    };
    try {
      this.#demandRole(op);
      if (this.#requests.request(op, request, reply)) return;
      if (!this.#services.administer(op, request, reply, this)) {
        reply(
          new SpinesError(
            'ENOSYS',
            `this daemon knows no request "${op.slice(0, 40)}"; use the spines-client that came ` +
              'with it',
          ),
        );
      }
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      reply(error);
    }
  }

  /** Throws SpinesError EACCES. */
  #demandRole(op: string): void {
    const needed = this.#services.roleFor(op);
    const {
      role,
      access: { certificate, from },
    } = this;
    if (includes(role, needed)) return;
    this.#services.refused(op, this, 'EACCES');
    const who =
      certificate ??
      (this.#grant === null ? `who comes by ${from}` : `who shows ${this.#grant.file}`);
    const next =
      certificate === null
        ? 'come by another socket or token'
        : "ask on the daemon's own machine, or have client.roles changed there";
    throw new SpinesError(
      'EACCES',
      `"${op.slice(0, 40)}" needs the role ${needed}, and ${who} has ${role} here; ${next}`,
    );
  }

  /* -------------------------------------------------------------- the end */

  #onPatienceOver(): void {
    this.#fail(this.#greeted ? 'a frame was begun and not finished' : 'no HELLO came');
  }

  #fail(why: string): void {
    this.#services.drops.count(DropReason.clientFrameMalformed);
    if (this.#greeted)
      this.#out.write(
        encodeControl(FRAME_EVENT, { event: 'closing', code: 'EPROTO', message: why }),
      );
    this.close();
  }
}
