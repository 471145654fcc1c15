/**
 * Requests of a client about its own sockets, and names: opening, binding, connecting, options.
 *
 * One row of a table is one request: the least role that may make it, and what does it. Arguments
 * are whatever the client sent. Requests about the daemon have a table of their own
 * (core/operator/operations.ts).
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, PORT_MAX } from '../base/ids.ts';
import { MILLISECOND } from '../base/time.ts';
import type { DatagramOptions, DatagramSession } from '../session/sessions.ts';
import { BACKLOG_MAX } from '../session/streams.ts';
import { deadlineMsOf } from '../wire/deadline.ts';
import {
  DISSEMINATION_NAMES,
  disseminationCode,
  namesText,
  SERVICE_NAMES,
  serviceCode,
  whyNoStreams,
} from '../wire/modes.ts';
import {
  DISSEMINATION_LINK_STATE,
  PRIORITY_DEFAULT,
  PRIORITY_MAX,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import { ACCEPTED_SOCKET_FIRST } from 'spines-client/protocol';
import {
  congestionOf,
  integer,
  limitOf,
  secrecyOf,
  streamLimits,
  text,
  timelinessOf,
  waysOf,
  type Arguments,
} from './arguments.ts';
import type { ClientDatagrams } from './client-datagrams.ts';
import { anycastOf, changeMembership, slowBranchOf } from './client-groups.ts';
import type { ClientGate } from './client-gate.ts';
import type { ClientRules } from './client-rules.ts';
import type { ClientServices } from './client-services.ts';
import type { ClientStreams } from './client-streams.ts';
import type { ConnectedClient, Reply } from './client.ts';
import type { ClientRole } from './roles.ts';

const DATAGRAM_OPTIONS =
  'option must be "ttl", "priority", "deadlineMs", "late", "redundancy", "paths", "graph", ' +
  '"multicastTtl" or "multicastLoopback"';
const STREAM_OPTIONS = 'option of a stream must be "keepaliveMs" or "silenceMs"';

interface SocketRequest {
  readonly role: ClientRole;
  run(of: ClientRequests, args: Arguments, reply: Reply): void;
}

/** What requests act on: the parts of one client. */
export interface ClientParts {
  readonly client: ConnectedClient;
  readonly services: ClientServices;
  readonly datagrams: ClientDatagrams;
  readonly streams: ClientStreams;
  readonly gate: ClientGate;
  readonly rules: ClientRules;
}

export class ClientRequests {
  static readonly #REQUESTS: ReadonlyMap<string, SocketRequest> = new Map<string, SocketRequest>([
    ['resolve', { role: 'read-only', run: (of, args, reply) => of.#resolve(args, reply) }],
    ['socket', { role: 'use', run: (of, args, reply) => of.#socket(args, reply) }],
    ['bind', { role: 'use', run: (of, args, reply) => of.#bind(args, reply) }],
    ['connect', { role: 'use', run: (of, args, reply) => of.#connect(args, reply) }],
    ['listen', { role: 'use', run: (of, args, reply) => of.#listen(args, reply) }],
    ['close', { role: 'use', run: (of, args, reply) => of.#close(args, reply) }],
    ['join', { role: 'use', run: (of, args, reply) => of.#membership(true, args, reply) }],
    ['leave', { role: 'use', run: (of, args, reply) => of.#membership(false, args, reply) }],
    ['setOption', { role: 'use', run: (of, args, reply) => of.#setOption(args, reply) }],
    ['getOption', { role: 'use', run: (of, args, reply) => of.#getOption(args, reply) }],
  ]);

  readonly #client: ConnectedClient;
  readonly #services: ClientServices;
  readonly #datagrams: ClientDatagrams;
  readonly #streams: ClientStreams;
  readonly #gate: ClientGate;
  readonly #rules: ClientRules;

  constructor({ client, services, datagrams, streams, gate, rules }: ClientParts) {
    this.#client = client;
    this.#services = services;
    this.#datagrams = datagrams;
    this.#streams = streams;
    this.#gate = gate;
    this.#rules = rules;
  }

  /** The least role that may make request `op`; undefined when it is none of these. */
  static roleOf(op: string): ClientRole | undefined {
    return ClientRequests.#REQUESTS.get(op)?.role;
  }

  /** Answers `op` through `reply`; false when it is none of these. Throws SpinesError. */
  request(op: string, args: Arguments, reply: Reply): boolean {
    const request = ClientRequests.#REQUESTS.get(op);
    request?.run(this, args, reply);
    return request !== undefined;
  }

  #socket(args: Arguments, reply: Reply): void {
    const number = integer(args, 'socket', 1, ACCEPTED_SOCKET_FIRST - 1);
    if (this.#datagrams.has(number) || this.#streams.has(number))
      throw new SpinesError('EEXIST', `socket ${number} exists already on this connection`);
    if (this.#client.asksOnly)
      throw new SpinesError(
        'EPERM',
        'this client said that it only asks; connect without `asksOnly` to open sockets',
      );
    if (this.#services.places.socketsOf(this.#client) >= this.#services.socketsMax) {
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
      this.#streams.open(
        number,
        { ...defaults, ...options, congestion: congestionOf(args) },
        limits,
      );
    } else {
      this.#datagrams.open(number, options, args['proof'] === true);
    }
    // Daemons before this one said that they had best effort instead.
    reply(args['link'] === 'realtime' ? { link: 'realtime' } : {});
  }

  #bind(args: Arguments, reply: Reply): void {
    const wanted = integer(args, 'port', 0, PORT_MAX);
    const stream = this.#isStream(args);
    if (wanted !== 0 && !stream)
      this.#rules.demand('listen', this.#services.self, wanted, 'datagram');
    const port = stream
      ? this.#streams.bind(args['socket'] as number, wanted)
      : this.#datagrams.bind(this.#session(args), wanted);
    reply({ node: this.#services.welcome().node, port });
  }

  #connect(args: Arguments, reply: Reply): void {
    const number = this.#streamNumber(args);
    const written = text(args, 'node');
    const node = anycastOf(written, this.#services) ?? this.#services.resolve(written);
    if (node === null) throw this.#services.unknown(written);
    const timeoutUs =
      args['timeoutMs'] === undefined
        ? undefined
        : integer(args, 'timeoutMs', 1, 3_600_000) * MILLISECOND;
    const self = this.#services.welcome().node;
    const answer: Reply = (result) =>
      reply(result instanceof SpinesError ? result : { node: self, ...result });
    const port = integer(args, 'port', 1, PORT_MAX);
    this.#rules.demand('send', node, port, 'stream');
    this.#gate.whenOpen(answer, () => this.#streams.connect(number, node, port, timeoutUs, answer));
  }

  #listen(args: Arguments, reply: Reply): void {
    const backlog = args['backlog'] === undefined ? 0 : integer(args, 'backlog', 0, BACKLOG_MAX);
    const wanted = integer(args, 'port', 0, PORT_MAX);
    this.#rules.demand('listen', this.#services.self, wanted, 'stream');
    const port = this.#streams.listen(this.#streamNumber(args), wanted, backlog);
    reply({ node: this.#services.welcome().node, port });
  }

  #close(args: Arguments, reply: Reply): void {
    if (this.#isStream(args)) {
      this.#streams.close(args['socket'] as number);
      reply({});
      return;
    }
    this.#datagrams.close(this.#session(args));
    reply({});
  }

  #membership(joins: boolean, args: Arguments, reply: Reply): void {
    changeMembership(joins, this.#session(args), args, this.#services, this.#rules);
    reply({});
  }

  #setOption(args: Arguments, reply: Reply): void {
    if (this.#isStream(args)) this.#setStreamOption(args);
    else this.#setDatagramOption(this.#session(args), args);
    reply({});
  }

  #getOption(args: Arguments, reply: Reply): void {
    reply({
      value: this.#isStream(args)
        ? this.#getStreamOption(args)
        : this.#getDatagramOption(this.#session(args), args['option']),
    });
  }

  #resolve(args: Arguments, reply: Reply): void {
    const name = text(args, 'name');
    const node = this.#services.resolve(name);
    if (node === null) throw this.#services.unknown(name);
    reply({ node: formatNodeId(node), name: this.#services.nameOf(node) ?? '' });
  }

  #options(args: Arguments): DatagramOptions {
    const kind = args['kind'] ?? 'datagram';
    if (kind !== 'datagram' && kind !== 'stream')
      throw new SpinesError('EINVAL', 'kind must be "datagram" or "stream"');
    const { link = kind === 'stream' ? 'reliable' : 'best-effort', routing = 'link-state' } = args;
    const service = serviceCode(typeof link === 'string' ? link : '');
    const dissemination = disseminationCode(typeof routing === 'string' ? routing : '');
    if (service === undefined)
      throw new SpinesError('EINVAL', `link must be ${namesText(SERVICE_NAMES)}`);
    if (dissemination === undefined)
      throw new SpinesError('EINVAL', `routing must be ${namesText(DISSEMINATION_NAMES)}`);
    const refusal = kind === 'stream' ? whyNoStreams(service) : null;
    if (refusal !== null)
      throw new SpinesError('EOPNOTSUPP', `${refusal}; use link "reliable" or "best-effort"`);
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
    Object.assign(options, waysOf(args, options, kind));
    if (kind === 'stream') return options;
    Object.assign(options, timelinessOf(args, options));
    options.sharesPort = args['reuseAddr'] === true;
    const slowBranch = slowBranchOf(args['slowBranch']);
    if (slowBranch !== undefined) options.slowBranch = slowBranch;
    return options;
  }

  #isStream(args: Arguments): boolean {
    return this.#streams.has(integer(args, 'socket', 1, 0xffff_ffff));
  }

  #streamNumber(args: Arguments): number {
    const number = integer(args, 'socket', 1, 0xffff_ffff);
    if (!this.#streams.has(number))
      throw new SpinesError('EBADF', `there is no stream socket ${number} on this connection`);
    return number;
  }

  #setDatagramOption(session: DatagramSession, args: Arguments): void {
    const { option, value } = args;
    if (option === 'ttl') session.ttl = integer(args, 'value', 1, 255);
    else if (option === 'multicastTtl') session.multicastTtl = integer(args, 'value', 1, 255);
    else if (option === 'multicastLoopback') session.multicastLoopback = value === true;
    else if (option === 'priority') session.priority = integer(args, 'value', 1, PRIORITY_MAX);
    else if (option === 'paths' || option === 'graph')
      Object.assign(session, waysOf({ [option]: value }, session, 'datagram'));
    else if (option === 'deadlineMs' || option === 'late' || option === 'redundancy')
      Object.assign(session, timelinessOf({ [option]: value }, session));
    else throw new SpinesError('ENOPROTOOPT', DATAGRAM_OPTIONS);
  }

  #setStreamOption(args: Arguments): void {
    const { option, value } = args;
    if (option !== 'keepaliveMs' && option !== 'silenceMs')
      throw new SpinesError('ENOPROTOOPT', STREAM_OPTIONS);
    const limit = limitOf({ [option]: value }, option);
    this.#streams.setLimits(
      args['socket'] as number,
      option === 'keepaliveMs' ? { keepaliveUs: limit } : { silenceUs: limit },
    );
  }

  #getStreamOption(args: Arguments): number {
    const { keepaliveUs, silenceUs } = this.#streams.limitsOf(args['socket'] as number);
    if (args['option'] === 'keepaliveMs') return keepaliveUs / MILLISECOND;
    if (args['option'] === 'silenceMs') return silenceUs / MILLISECOND;
    throw new SpinesError('ENOPROTOOPT', STREAM_OPTIONS);
  }

  #getDatagramOption(session: DatagramSession, option: unknown): number | string | boolean {
    switch (option) {
      case 'ttl':
      case 'priority':
      case 'paths':
      case 'graph':
      case 'late':
      case 'redundancy':
      case 'multicastTtl':
      case 'multicastLoopback':
        return session[option];
      case 'deadlineMs':
        return deadlineMsOf(session);
      default:
        throw new SpinesError('ENOPROTOOPT', DATAGRAM_OPTIONS);
    }
  }

  #session(args: Arguments): DatagramSession {
    return this.#datagrams.of(integer(args, 'socket', 1, 0xffff_ffff));
  }
}
