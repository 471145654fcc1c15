/**
 * One connected client, seen from the daemon: frames in, frames out, and the sockets it owns.
 *
 * Trusts nothing: a frame that does not parse, a socket it does not own or a request without sense
 * costs that client an error reply or its connection, and nobody else anything. Everything it can
 * make the daemon hold is bounded: sockets, the unfinished frame, unread bytes, outstanding probes.
 * Sessions do the sending and receiving; requests about the daemon itself go to ClientServices.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, isNodeId, PORT_MAX, type NodeId, type Port } from '../base/ids.ts';
import { getU16, getU32 } from '../base/bytes.ts';
import { MILLISECOND, NEVER, SECOND, Timer, type Micros } from '../base/time.ts';
import { ClientScope } from '../session/firewall.ts';
import type { RuleKind, RuleUse } from '../session/rules.ts';
import type { DatagramOptions, DatagramOwner, DatagramSession } from '../session/sessions.ts';
import { BACKLOG_MAX } from '../session/streams.ts';
import {
  congestionOf,
  integer,
  limitOf,
  secrecyOf,
  streamLimits,
  text,
  type Arguments,
} from './arguments.ts';
import {
  LOCAL_ACCESS,
  type Asker,
  type ClientAccess,
  type ClientOut,
  type Reply,
  type TokenGrant,
} from './client.ts';
import type { ClientServices } from './client-services.ts';
import type { ClientRate } from './client-rate.ts';
import { ClientStreams } from './client-streams.ts';
import { includes, type ClientRole } from './roles.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  PRIORITY_DEFAULT,
  PRIORITY_MAX,
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import {
  ACCEPTED_SOCKET_FIRST,
  DATAGRAM_HEAD_BYTES,
  decodeControl,
  encodeControl,
  encodeDatagramHead,
  encodeSocketFrame,
  FRAME_BLOCKED,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_RECV,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_STREAM_CREDIT,
  FRAME_STREAM_DATA,
  FRAME_STREAM_END,
  FRAME_STREAM_RESET,
  FRAME_WELCOME,
  FRAME_WRITABLE,
  FrameReader,
  HELLO_BYTES_MAX,
  PROTOCOL_VERSION,
  RECV_PROVED,
  STREAM_HEAD_BYTES,
} from 'spines-client/protocol';

const HELLO_TIME: Micros = 5 * SECOND;
/** An unfinished frame may take this long. */
const FRAME_TIME: Micros = 30 * SECOND;
const REPORT_INTERVAL: Micros = 250 * MILLISECOND;
const REQUESTS_OUTSTANDING_MAX = 1024;

const SERVICES: Readonly<Record<string, number>> = {
  'best-effort': SERVICE_BEST_EFFORT,
  reliable: SERVICE_RELIABLE,
  realtime: SERVICE_REALTIME,
};
const ROUTINGS: Readonly<Record<string, number>> = {
  'link-state': DISSEMINATION_LINK_STATE,
  byzantine: DISSEMINATION_BYZANTINE,
};

const STREAM_OPTIONS = 'option of a stream must be "keepaliveMs" or "silenceMs"';

/** Filled and copied at once. */
const RECV_HEAD = new Uint8Array(FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES);

interface SendErrors {
  reason: DropReason;
  destination: NodeId;
  onTheWay: boolean;
  count: number;
}

export class ClientPort implements DatagramOwner {
  /** What the client calls itself; '' before its HELLO. */
  name = '';
  /** It said that it makes requests and opens no sockets. */
  asksOnly = false;
  readonly access: ClientAccess;
  readonly streams: ClientStreams;
  readonly #services: ClientServices;
  readonly #out: ClientOut;
  readonly #reader: FrameReader;
  readonly #sessions = new Map<number, DatagramSession>();
  readonly #numbers = new Map<DatagramSession, number>();
  readonly #patience = new Timer(() => this.#onPatienceOver());
  readonly #reportTimer = new Timer(() => this.#report());
  /** Want to be told which sources are proved. */
  readonly #tellProof = new WeakSet<DatagramSession>();
  readonly #recvDropped = new Map<number, number>();
  readonly #sendErrors = new Map<number, SendErrors>();
  /** Of a remote client: whom the rules for those are asked about. */
  readonly #scope: ClientScope | null;
  /** Sockets that it gave a port of its choice. */
  readonly #bound = new Set<DatagramSession>();
  readonly #rate: ClientRate;
  readonly #rateTimer = new Timer(() => this.#onRateOpen());
  /** Were told to wait because the client is over its rate. */
  readonly #overRate = new Set<DatagramSession>();
  /** Connects that wait for the rate; as many as requests may be outstanding. */
  readonly #held: (() => void)[] = [];
  #greeted = false;
  #closed = false;
  #outstanding = 0;
  #grant: TokenGrant | null = null;

  constructor(services: ClientServices, out: ClientOut, access: ClientAccess = LOCAL_ACCESS) {
    this.#services = services;
    this.#out = out;
    this.access = access;
    this.#scope =
      access.certificate === null
        ? null
        : new ClientScope({ name: access.certificate, groups: access.groups ?? [] });
    this.#rate = services.places.rateOf(access.certificate, services);
    const rate = this.#rate;
    const gate = {
      get unlimited() {
        return rate.unlimited;
      },
      open: () => rate.open(services.clock.now()),
      take: (bytes: number) => rate.takeStream(bytes, services.clock.now()),
      onHeld: () => this.#armRate(),
    };
    this.streams = new ClientStreams(
      services.streams,
      out,
      services.socketsMax,
      (node) => services.nameOf(node) ?? formatNodeId(node),
      gate,
    );
    this.#reader = new FrameReader({
      onFrame: (type, bytes, start, end) => this.#onFrame(type, bytes, start, end),
    });
    services.timers.arm(this.#patience, services.clock.now() + HELLO_TIME);
  }

  get sockets(): number {
    return this.#sessions.size + this.streams.size;
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
    const { from, certificate } = this.access;
    return {
      program: this.name,
      role: this.role,
      from,
      certificate,
      token: this.#grant?.file ?? null,
    };
  }

  /** The socket waits for room, or for the client's rate. */
  isBlocked(session: DatagramSession): boolean {
    return session.blocked || this.#overRate.has(session);
  }

  datagrams(): IterableIterator<DatagramSession> {
    return this.#sessions.values();
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
    this.#services.timers.cancel(this.#reportTimer);
    this.#services.timers.cancel(this.#rateTimer);
    this.#overRate.clear();
    this.#held.length = 0;
    for (const session of this.#sessions.values()) this.#services.sessions.close(session);
    this.#sessions.clear();
    this.#numbers.clear();
    this.#bound.clear();
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

  /** Rules have changed: what this client may not do any more, it does not do any more. */
  onRules(): void {
    if (this.#scope === null || this.#closed) return;
    for (const { stream } of [...this.streams.sockets()]) {
      if (
        stream === null ||
        !stream.initiator ||
        this.#may('send', stream.node, stream.port, 'stream')
      )
        continue;
      this.#services.drops.count(DropReason.firewallClient);
      stream.reset();
    }
    const { self } = this.#services;
    const datagrams = [...this.#bound].map((session) => ({
      port: session.port,
      kind: 'datagram' as const,
    }));
    const listeners = [...this.streams.sockets()]
      .filter(({ listening }) => listening)
      .map(({ port }) => ({ port, kind: 'stream' as const }));
    const refused = [...datagrams, ...listeners].find(
      ({ port, kind }) => !this.#may('listen', self, port, kind),
    );
    if (refused !== undefined) this.dismiss(this.#forbidden('listen', refused.port).message);
  }

  /** Tells the client that the daemon is going down. */
  onDraining(): void {
    if (this.#greeted && !this.#closed)
      this.#out.write(encodeControl(FRAME_EVENT, { event: 'draining' }));
  }

  /* -------------------------------------------------------------- from sessions */

  onMessage(
    session: DatagramSession,
    source: NodeId,
    sourcePort: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    proved: boolean,
  ): boolean {
    const number = this.#numbers.get(session)!;
    if (this.#out.bufferedBytes + end - start > this.#services.queueBytes) {
      this.#recvDropped.set(number, (this.#recvDropped.get(number) ?? 0) + 1);
      this.#armReport();
      return false;
    }
    encodeDatagramHead(RECV_HEAD, 0, FRAME_RECV, number, source, sourcePort, end - start);
    if (proved && this.#tellProof.has(session)) RECV_HEAD[RECV_HEAD.length - 1] = RECV_PROVED;
    this.#out.append(RECV_HEAD, bytes, start, end);
    return true;
  }

  onLost(session: DatagramSession, destination: NodeId, reason: DropReason, count: number): void {
    this.#noteSendError(this.#numbers.get(session)!, reason, destination, count, true);
  }

  onWritable(session: DatagramSession): void {
    if (this.#overRate.has(session)) return;
    this.#out.write(encodeSocketFrame(FRAME_WRITABLE, this.#numbers.get(session)!));
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
    if (type === FRAME_SEND) this.#onSend(bytes, start, end);
    else if (type === FRAME_STREAM_DATA) this.#onStreamData(bytes, start, end);
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

  #onSend(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < DATAGRAM_HEAD_BYTES || getU16(bytes, start + 10) !== 0) {
      this.#fail('a SEND frame is malformed');
      return;
    }
    const number = getU32(bytes, start);
    const session = this.#sessions.get(number);
    if (session === undefined) {
      this.#services.drops.count(DropReason.clientSocketUnknown);
      return;
    }
    const destination = getU32(bytes, start + 4);
    const port = getU16(bytes, start + 8);
    const wasBlocked = this.isBlocked(session);
    const open = this.#rate.open(this.#services.clock.now());
    let reason: DropReason;
    try {
      if (!isNodeId(destination) || port === 0) reason = DropReason.packetMalformed;
      else if (!open) reason = DropReason.clientOverRate;
      else if (!this.#may('send', destination, port, 'datagram'))
        reason = DropReason.firewallClient;
      else
        reason = this.#services.sessions.send(
          session,
          destination,
          port,
          bytes,
          start + DATAGRAM_HEAD_BYTES,
          end,
        );
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      reason = DropReason.clientRefused;
    }
    if (reason !== DropReason.none) {
      this.#services.drops.count(reason);
      this.#noteSendError(number, reason, destination);
    }
    if (!this.#rate.unlimited) {
      if (reason === DropReason.none)
        this.#rate.takeMessage(end - start - DATAGRAM_HEAD_BYTES, this.#services.clock.now());
      if (!this.#rate.open(this.#services.clock.now())) {
        this.#overRate.add(session);
        this.#armRate();
      }
    }
    if (this.isBlocked(session) && !wasBlocked)
      this.#out.write(encodeSocketFrame(FRAME_BLOCKED, number));
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
      if (this.#socketRequest(op, request, reply)) return;
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

  /** Requests about one socket. False when `op` is none. */
  #socketRequest(op: string, args: Arguments, reply: Reply): boolean {
    switch (op) {
      case 'socket': {
        const number = integer(args, 'socket', 1, ACCEPTED_SOCKET_FIRST - 1);
        if (this.#sessions.has(number) || this.streams.has(number))
          throw new SpinesError('EEXIST', `socket ${number} exists already on this connection`);
        if (this.asksOnly)
          throw new SpinesError(
            'EPERM',
            'this client said that it only asks; connect without `asksOnly` to open sockets',
          );
        if (this.#services.places.socketsOf(this) >= this.#services.socketsMax) {
          throw new SpinesError(
            'EMFILE',
            `a client may have ${this.#services.socketsMax} sockets; close some, or raise ` +
              'limits.socketsPerClient',
          );
        }
        const options = this.#options(args);
        const limits = streamLimits(args);
        if (args['kind'] === 'stream') {
          const defaults = {
            service: SERVICE_RELIABLE,
            dissemination: DISSEMINATION_LINK_STATE,
            ttl: TTL_DEFAULT,
            priority: PRIORITY_DEFAULT,
          };
          this.streams.open(
            number,
            { ...defaults, ...options, congestion: congestionOf(args) },
            limits,
          );
        } else {
          const session = this.#services.sessions.open(this, options);
          this.#sessions.set(number, session);
          this.#numbers.set(session, number);
          if (args['proof'] === true) this.#tellProof.add(session);
        }
        // The program is told: what it asked for is not what it has.
        reply(
          args['link'] === 'realtime' && options.service !== SERVICE_REALTIME
            ? { link: 'best-effort' }
            : {},
        );
        return true;
      }
      case 'bind': {
        const wanted = integer(args, 'port', 0, PORT_MAX);
        const stream = this.#isStream(args);
        if (wanted !== 0 && !stream)
          this.#demand('listen', this.#services.self, wanted, 'datagram');
        const port = stream
          ? this.streams.bind(args['socket'] as number, wanted)
          : this.#services.sessions.bind(this.#session(args), wanted);
        if (wanted !== 0 && !stream) this.#bound.add(this.#session(args));
        reply({ node: this.#services.welcome().node, port });
        return true;
      }
      case 'connect': {
        const number = this.#streamNumber(args);
        const written = text(args, 'node');
        const node = this.#services.resolve(written);
        if (node === null) throw this.#services.unknown(written);
        const timeoutUs =
          args['timeoutMs'] === undefined
            ? undefined
            : integer(args, 'timeoutMs', 1, 3_600_000) * MILLISECOND;
        const self = this.#services.welcome().node;
        const answer: Reply = (result) =>
          reply(result instanceof SpinesError ? result : { node: self, ...result });
        const port = integer(args, 'port', 1, PORT_MAX);
        this.#demand('send', node, port, 'stream');
        this.#whenRateOpen(answer, () =>
          this.streams.connect(number, node, port, timeoutUs, answer),
        );
        return true;
      }
      case 'listen': {
        const backlog =
          args['backlog'] === undefined ? 0 : integer(args, 'backlog', 0, BACKLOG_MAX);
        const wanted = integer(args, 'port', 0, PORT_MAX);
        this.#demand('listen', this.#services.self, wanted, 'stream');
        const port = this.streams.listen(this.#streamNumber(args), wanted, backlog);
        reply({ node: this.#services.welcome().node, port });
        return true;
      }
      case 'close': {
        if (this.#isStream(args)) {
          this.streams.close(args['socket'] as number);
          reply({});
          return true;
        }
        const session = this.#session(args);
        this.#services.sessions.close(session);
        this.#bound.delete(session);
        this.#overRate.delete(session);
        this.#sessions.delete(this.#numbers.get(session)!);
        this.#recvDropped.delete(this.#numbers.get(session)!);
        this.#sendErrors.delete(this.#numbers.get(session)!);
        this.#numbers.delete(session);
        reply({});
        return true;
      }
      case 'setOption':
        if (this.#isStream(args)) this.#setStreamOption(args);
        else this.#setOption(this.#session(args), args);
        reply({});
        return true;
      case 'getOption':
        reply({
          value: this.#isStream(args)
            ? this.#getStreamOption(args)
            : this.#getOption(this.#session(args), args['option']),
        });
        return true;
      case 'resolve': {
        const name = text(args, 'name');
        const node = this.#services.resolve(name);
        if (node === null) throw this.#services.unknown(name);
        reply({ node: formatNodeId(node), name: this.#services.nameOf(node) ?? '' });
        return true;
      }
      default:
        return false;
    }
  }

  #options(args: Arguments): DatagramOptions {
    const kind = args['kind'] ?? 'datagram';
    if (kind !== 'datagram' && kind !== 'stream')
      throw new SpinesError('EINVAL', 'kind must be "datagram" or "stream"');
    let service =
      SERVICES[
        typeof args['link'] === 'string'
          ? args['link']
          : args['link'] !== undefined
            ? ''
            : kind === 'stream'
              ? 'reliable'
              : 'best-effort'
      ];
    const dissemination =
      ROUTINGS[
        typeof args['routing'] === 'string'
          ? args['routing']
          : args['routing'] === undefined
            ? 'link-state'
            : ''
      ];
    if (service === undefined)
      throw new SpinesError('EINVAL', 'link must be "best-effort", "reliable" or "realtime"');
    if (dissemination === undefined)
      throw new SpinesError('EINVAL', 'routing must be "link-state" or "byzantine"');
    // Datagrams that would be in time if there were realtime links are better sent than refused.
    if (
      service === SERVICE_REALTIME &&
      kind === 'datagram' &&
      this.#services.checkModes(service, DISSEMINATION_LINK_STATE) !== null
    )
      service = SERVICE_BEST_EFFORT;
    const secrecy = secrecyOf(args);
    const unable = this.#services.checkModes(service, dissemination, secrecy);
    if (unable !== null) throw new SpinesError('EOPNOTSUPP', unable);
    const options: DatagramOptions = {
      service,
      dissemination,
      ...(secrecy === undefined ? {} : { secrecy }),
    };
    if (args['ttl'] !== undefined) options.ttl = integer(args, 'ttl', 1, 255);
    if (args['priority'] !== undefined)
      options.priority = integer(args, 'priority', 1, PRIORITY_MAX);
    return options;
  }

  #isStream(args: Arguments): boolean {
    return this.streams.has(integer(args, 'socket', 1, 0xffff_ffff));
  }

  #streamNumber(args: Arguments): number {
    const number = integer(args, 'socket', 1, 0xffff_ffff);
    if (!this.streams.has(number))
      throw new SpinesError('EBADF', `there is no stream socket ${number} on this connection`);
    return number;
  }

  #setOption(session: DatagramSession, args: Arguments): void {
    if (args['option'] === 'ttl') session.ttl = integer(args, 'value', 1, 255);
    else if (args['option'] === 'priority')
      session.priority = integer(args, 'value', 1, PRIORITY_MAX);
    else throw new SpinesError('ENOPROTOOPT', 'option must be "ttl" or "priority"');
  }

  #setStreamOption(args: Arguments): void {
    const { option, value } = args;
    if (option !== 'keepaliveMs' && option !== 'silenceMs')
      throw new SpinesError('ENOPROTOOPT', STREAM_OPTIONS);
    const limit = limitOf({ [option]: value }, option);
    this.streams.setLimits(
      args['socket'] as number,
      option === 'keepaliveMs' ? { keepaliveUs: limit } : { silenceUs: limit },
    );
  }

  #getStreamOption(args: Arguments): number {
    const { keepaliveUs, silenceUs } = this.streams.limitsOf(args['socket'] as number);
    if (args['option'] === 'keepaliveMs') return keepaliveUs / MILLISECOND;
    if (args['option'] === 'silenceMs') return silenceUs / MILLISECOND;
    throw new SpinesError('ENOPROTOOPT', STREAM_OPTIONS);
  }

  #getOption(session: DatagramSession, option: unknown): number {
    if (option === 'ttl') return session.ttl;
    if (option === 'priority') return session.priority;
    throw new SpinesError('ENOPROTOOPT', 'option must be "ttl" or "priority"');
  }

  #session(args: Arguments): DatagramSession {
    const number = integer(args, 'socket', 1, 0xffff_ffff);
    const session = this.#sessions.get(number);
    if (session === undefined)
      throw new SpinesError('EBADF', `there is no socket ${number} on this connection`);
    return session;
  }

  /* -------------------------------------------------------------- rules */

  #may(use: RuleUse, node: NodeId, port: Port, kind: RuleKind): boolean {
    return (
      this.#scope === null || this.#services.firewall.clientMay(this.#scope, use, node, port, kind)
    );
  }

  /** Throws SpinesError EACCES. */
  #demand(use: RuleUse, node: NodeId, port: Port, kind: RuleKind): void {
    if (this.#may(use, node, port, kind)) return;
    this.#services.drops.count(DropReason.firewallClient);
    throw this.#forbidden(use, port, node);
  }

  #forbidden(use: RuleUse, port: Port, node: NodeId | null = null): SpinesError {
    const what =
      use === 'listen'
        ? `listen at ${port === 0 ? 'a port' : `port ${port}`} of this node`
        : `send to port ${port} of ${formatNodeId(node!)}`;
    return new SpinesError(
      'EACCES',
      `rules of this daemon do not let ${this.access.certificate ?? 'this client'} ${what}; ask ` +
        'its operator (firewall.clients in its config)',
    );
  }

  /* -------------------------------------------------------------- the rate */

  /**
   * A new stream may be written to at once: a client over its rate waits for one, or it would never
   * have to stop.
   */
  #whenRateOpen(answer: Reply, begin: () => void): void {
    if (this.#rate.open(this.#services.clock.now())) {
      begin();
      return;
    }
    this.#held.push(() => {
      try {
        begin();
      } catch (error) {
        if (!(error instanceof SpinesError)) throw error;
        answer(error);
      }
    });
    this.#armRate();
  }

  #armRate(): void {
    if (this.#rateTimer.armed || this.#closed) return;
    const { clock, timers } = this.#services;
    const at = this.#rate.opensAt(clock.now());
    timers.arm(this.#rateTimer, at === NEVER ? clock.now() : at);
  }

  #onRateOpen(): void {
    if (!this.#rate.open(this.#services.clock.now())) {
      this.#armRate();
      return;
    }
    const waiting = [...this.#overRate];
    this.#overRate.clear();
    // What waits for room as well is told when there is some.
    for (const session of waiting) if (!session.blocked) this.onWritable(session);
    for (const begin of this.#held.splice(0)) begin();
    this.streams.grantHeld();
  }

  /* -------------------------------------------------------------- reports and the end */

  /**
   * The first refusal of a socket is reported at once, further ones together a few times a second.
   */
  #noteSendError(
    number: number,
    reason: DropReason,
    destination: NodeId,
    count = 1,
    onTheWay = false,
  ): void {
    const noted = this.#sendErrors.get(number);
    if (noted === undefined) {
      const told = this.#readsEvents;
      this.#sendErrors.set(number, { reason, destination, onTheWay, count: told ? 0 : count });
      if (told) this.#sendErrorEvent(number, reason, destination, onTheWay, count);
    } else {
      noted.reason = reason;
      noted.destination = destination;
      noted.onTheWay = onTheWay;
      noted.count += count;
    }
    this.#armReport();
  }

  #sendErrorEvent(
    socket: number,
    reason: DropReason,
    destination: NodeId,
    onTheWay: boolean,
    count: number,
  ): void {
    const { code, message } = onTheWay
      ? describeLoss(reason, destination)
      : describe(reason, destination);
    this.#out.write(
      encodeControl(FRAME_EVENT, { event: 'sendError', socket, code, message, count }),
    );
  }

  #armReport(): void {
    if (!this.#reportTimer.armed && !this.#closed)
      this.#services.timers.arm(this.#reportTimer, this.#services.clock.now() + REPORT_INTERVAL);
  }

  /**
   * False while so much is unread that reports wait: a client that never reads must not make us
   * hold ever more of them.
   */
  get #readsEvents(): boolean {
    return this.#out.bufferedBytes < this.#services.queueBytes / 2;
  }

  #report(): void {
    if (!this.#readsEvents) {
      this.#armReport();
      return;
    }
    for (const [number, errors] of this.#sendErrors) {
      if (errors.count === 0) {
        this.#sendErrors.delete(number);
        continue;
      }
      this.#sendErrorEvent(
        number,
        errors.reason,
        errors.destination,
        errors.onTheWay,
        errors.count,
      );
      errors.count = 0;
    }
    for (const [socket, count] of this.#recvDropped)
      this.#out.write(encodeControl(FRAME_EVENT, { event: 'recvDropped', socket, count }));
    this.#recvDropped.clear();
    if (this.#sendErrors.size > 0 || this.#recvDropped.size > 0) this.#armReport();
  }

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

/** Of what was sent, and lost on the way. */
function describeLoss(reason: DropReason, destination: NodeId): { code: string; message: string } {
  const node = formatNodeId(destination);
  if (reason === DropReason.waitedTooLong) {
    return {
      code: 'EHOSTUNREACH',
      message:
        `lost on the way to ${node}: no route went on for 3 s; send it again if it ` +
        `matters, \`spines routes\` shows what is reachable`,
    };
  }
  if (reason === DropReason.probedLost) {
    const next =
      `send it again if it matters, \`spines trace ${node} --routing byzantine\` ` +
      'shows the path';
    return {
      code: 'EHOSTUNREACH',
      message:
        `perhaps lost on the way to ${node}: no path was found in time, or none brought ` +
        `an answer; ${next}`,
    };
  }
  return {
    code: 'ENOBUFS',
    message:
      `lost on the way to ${node}: a queue there was full before this node heard of it; ` +
      `wait for 'drain' when send returns false`,
  };
}

function describe(reason: DropReason, destination: NodeId): { code: string; message: string } {
  const node = formatNodeId(destination);
  switch (reason) {
    case DropReason.noRoute:
    case DropReason.linkDown:
      return {
        code: 'EHOSTUNREACH',
        message: `no route to ${node}; \`spines routes\` shows what is reachable`,
      };
    case DropReason.linkQueueFull:
    case DropReason.loopbackFull:
      return {
        code: 'ENOBUFS',
        message: `the queue towards ${node} is full; wait for 'drain' when send returns false`,
      };
    case DropReason.clientOverRate:
      return {
        code: 'ENOBUFS',
        message:
          'this client is over its rate (limits.clientBytesPerSecond, ' +
          "limits.clientPacketsPerSecond); wait for 'drain' when send returns false",
      };
    case DropReason.firewallClient:
      return {
        code: 'EACCES',
        message:
          `rules of this daemon do not let this client send there (${node}); ask its ` +
          'operator (firewall.clients in its config)',
      };
    case DropReason.packetTooLong:
      return { code: 'EMSGSIZE', message: 'a message has at most 65,536 bytes; split it' };
    case DropReason.packetMalformed:
      return { code: 'EINVAL', message: `${node} is not an address of a node, or the port is 0` };
    case DropReason.clientRefused:
      return {
        code: 'EADDRINUSE',
        message: 'no free port is left; close sockets that are not needed',
      };
    default:
      return { code: 'EIO', message: `not sent to ${node}: ${dropReasonName(reason)}` };
  }
}
