/**
 * What operators may ask a daemon: status, links, routes, nodes, ping, trace, changes of emulated
 * links, and misbehaviour.
 *
 * Answers are plain objects in the shapes of the client protocol (schema 1). Reads only, except
 * where the configuration allows more; `reload` is the host's work.
 */

import { hex } from '../base/bytes.ts';
import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { SourceBudget } from '../base/source-budget.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';
import type { ByzantineRouter } from '../byzantine/byzantine-router.ts';
import { authorityIdOf } from '../crypto/certificates.ts';
import type { Membership } from '../crypto/membership.ts';
import { presharedText } from '../crypto/preshared.ts';
import { integer, text, type Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient, Reply } from '../ipc/client.ts';
import type { ClientPort } from '../ipc/client-port.ts';
import type { Dial } from '../link/dial.ts';
import type { Trouble } from '../link/dial-outcome.ts';
import type { Link } from '../link/link.ts';
import { QUEUE_FACTOR } from '../link/send-queue.ts';
import { instanceText } from '../link/twins.ts';
import { clockFault, CLOCK_WRONG } from '../routing/clock-watch.ts';
import { linkCost } from '../routing/metrics.ts';
import { advertises } from '../routing/shortest-path.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import { LATENCY_UNIT_US } from '../wire/link-state.ts';
import {
  capabilityNames,
  hasCapability,
  IDENTITY_TWICE,
  releaseText,
  type NodeFacts,
} from '../wire/node-facts.ts';
import { REFUSAL_TWIN } from '../wire/refusal.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import type {
  ByzantineTraceReply,
  IdentityStatus,
  LinkRow,
  LinkTrouble,
  LinkSettings,
  LinksReply,
  LinkServiceName,
  MisbehaviourName,
  NodeFactsReply,
  NodeRow,
  NodesReply,
  RoutesReply,
  RoutingName,
  SessionRow,
  SessionsReply,
  StatusReply,
  TraceHop,
  TraceReply,
  TwinRow,
  WhyReply,
} from 'spines-client/protocol';
import { ClientAudit } from './audit.ts';
import { byzantineFigures, byzantineRoutes, traceHops, traceInUse } from './byzantine-report.ts';
import { firewallFigures, firewallRules, mayReach } from './firewall-report.ts';
import { misbehave } from './misbehaviour.ts';
import type { NodeView, OperatorEnvironment } from './node-view.ts';
import { VERSION } from '../node/version.ts';

const SERVICE_NAMES: readonly LinkServiceName[] = ['best-effort', 'reliable', 'realtime'];
const TROUBLES_MAX = 64;
const UNHEARD_MAX = 64;
const TWINS_MAX = 64;
const TRACE_HOPS_MAX = 64;
const TRACE_PROBES_MAX = 20;
const TIMEOUT_MAX_MS = 60_000;
/** Paths that are searched because a remote client asks for a trace. */
const SEARCHES_PER_SECOND = 1,
  SEARCHES_BURST = 5,
  SEARCHERS_MAX = 256;
/** And because a program of this machine does. */
const LOCAL_SEARCHES_PER_SECOND = 4,
  LOCAL_SEARCHES_BURST = 10;

export class Administration {
  readonly #node: NodeView;
  readonly #env: OperatorEnvironment;
  readonly #clients: ReadonlySet<ClientPort>;
  readonly #startedAt: Micros;
  readonly #audit: ClientAudit;
  /** By certificate. */
  readonly #remoteSearches = new SourceBudget(SEARCHES_PER_SECOND, SEARCHES_BURST, SEARCHERS_MAX);
  readonly #localSearches = new WeakMap<ConnectedClient, TokenBucket>();

  constructor(node: NodeView, env: OperatorEnvironment, clients: ReadonlySet<ClientPort>) {
    this.#node = node;
    this.#env = env;
    this.#clients = clients;
    this.#startedAt = env.clock.now();
    this.#audit = new ClientAudit(env.audit ?? (() => {}), env.clock);
  }

  /** A client was refused `op` before it came here. */
  refused(op: string, asker: ConnectedClient, code: string): void {
    this.#audit.record(op, asker.asker, code, {});
  }

  /**
   * Answers `op` through `reply`; false when it is not known. `asker`: null for the daemon itself.
   * Throws SpinesError for bad arguments.
   */
  request(
    op: string,
    args: Arguments,
    reply: Reply,
    asker: ConnectedClient | null = null,
  ): boolean {
    if (asker === null) return this.#request(op, args, reply, null);
    const { id: _id, op: _op, ...asked } = args;
    const told: Reply = (result) => {
      if (result instanceof SpinesError) this.#audit.record(op, asker.asker, result.code, asked);
      else
        this.#audit.record(
          op,
          asker.asker,
          'ok',
          op === 'reload' ? { changes: result['changes'] } : asked,
        );
      reply(result);
    };
    try {
      return this.#request(op, args, told, asker);
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      told(error);
      return true;
    }
  }

  #request(op: string, args: Arguments, reply: Reply, asker: ConnectedClient | null): boolean {
    switch (op) {
      case 'status':
        reply({ ...this.#status() });
        return true;
      case 'links':
        reply({ ...this.#links() });
        return true;
      case 'sessions':
        reply({ ...this.#sessions() });
        return true;
      case 'routes':
        reply({ ...this.#routes() });
        return true;
      case 'byzantineRoutes':
        reply({
          ...byzantineRoutes(
            this.#byzantine(),
            (node) => this.#node.router.nameOf(node),
            this.#env.clock.now(),
          ),
        });
        return true;
      case 'byzantineTrace':
        this.#byzantineTrace(args, reply, asker);
        return true;
      case 'misbehave':
        reply({ what: this.#misbehave(args) });
        return true;
      case 'nodes':
        reply({ ...this.#nodes() });
        return true;
      case 'ping':
        this.#ping(args, reply, asker);
        return true;
      case 'trace':
        this.#trace(args, reply, asker);
        return true;
      case 'firewall':
        reply({ ...firewallRules(this.#node.firewall, args) });
        return true;
      case 'mayReach':
        reply(mayReach(this.#node.firewall, this.#node.drops, this.#target(args, 'node'), args));
        return true;
      case 'linkSet':
        reply({ settings: this.#linkSet(args) });
        return true;
      case 'reload': {
        const { onReloadRequested } = this.#env;
        if (onReloadRequested === undefined)
          throw new SpinesError(
            'ENOTSUP',
            'this daemon has no config to read again; start it with `spines daemon`',
          );
        onReloadRequested((result) =>
          reply(
            result instanceof SpinesError ? result : { schema: 1, changes: [...result.changes] },
          ),
        );
        return true;
      }
      case 'shutdown':
        if (!this.#node.config.allowShutdown)
          throw new SpinesError(
            'EPERM',
            'this daemon does not let clients stop it; send it SIGTERM, or set allowShutdown',
          );
        reply({});
        this.#env.onShutdownRequested();
        return true;
      default:
        return false;
    }
  }

  #status(): StatusReply {
    const { config, links, router, drops, pool, dissemination, sessions, echo } = this.#node;
    const now = this.#env.clock.now();
    let up = 0;
    let total = 0;
    const troubles: LinkTrouble[] = [];
    for (const { link, dial, trouble } of links.neighbours()) {
      if (link?.up === true) up += 1;
      if (trouble?.code === 'sameNode') continue;
      total += 1;
      if (dial !== null && trouble !== null && troubles.length < TROUBLES_MAX) {
        const since = link !== null && link.state !== 'down' ? link.stateSince : dial.outcome.since;
        troubles.push({
          peer: links.watch.peerOf(dial),
          address: dial.endpoint.key,
          sinceMs: ms(now - since),
          ...this.#why(dial, trouble),
        });
      }
    }
    let reachable = 0;
    for (const cost of router.paths.cost) if (cost >= 0) reachable += 1;
    let sockets = 0;
    let clientQueue = 0;
    for (const client of this.#clients) {
      sockets += client.sockets;
      clientQueue = Math.max(clientQueue, client.bufferedBytes);
    }
    let linkQueue = 0;
    for (const link of links.all()) linkQueue = Math.max(linkQueue, link.queueBytes);
    const { counters } = router;
    return {
      schema: 1,
      node: formatNodeId(config.id),
      name: config.name,
      version: VERSION,
      instance: this.#node.instance,
      uptimeMs: ms(now - this.#startedAt),
      security: this.#env.membership === null ? 'none' : 'sealed',
      identity: identityStatus(this.#env.membership),
      host: this.#env.host?.() ?? null,
      emulation: config.allowEmulation,
      listen: [...this.#env.listen],
      links: { up, total, troubles },
      clocks: this.#clocks(),
      nodes: { reachable, known: router.database.size },
      clients: this.#clients.size,
      sockets,
      metric: config.metric,
      byzantine: this.#node.byzantine === null ? null : byzantineFigures(this.#node.byzantine),
      routing: {
        routeChanges: counters.routeChanges,
        recomputations: counters.recomputations,
        recomputeMsTotal: ms(counters.recomputeUsTotal),
        recomputeMsMax: ms(counters.recomputeUsMax),
        advertisements: counters.accepted,
      },
      packets: {
        originated: dissemination.originated,
        forwarded: dissemination.forwarded,
        delivered: dissemination.delivered,
      },
      drops: drops.snapshot(),
      twins: this.#twins(),
      firewall: firewallFigures(
        this.#node.firewall,
        this.#node.endToEnd !== null && config.secrecy === 'end-to-end',
      ),
      wireVersions: { ...this.#node.wireVersions },
      capabilities: capabilityNames(this.#node.router.ownFacts.capabilities),
      bounds: {
        links: [links.size, config.limits.links],
        nodes: [router.database.size, config.limits.nodes],
        packetsKept: [pool.inUse, pool.limit],
        longestLinkQueueBytes: [linkQueue, QUEUE_FACTOR * config.limits.linkQueueBytes],
        clients: [this.#clients.size, config.limits.clients],
        longestClientQueueBytes: [clientQueue, config.limits.clientQueueBytes],
        streams: [this.#node.streams.size, config.limits.streams],
        streamBytes: [this.#node.streams.grantedBytes, config.limits.streamBytes],
        waitingForRoute: [dissemination.waiting, 16_384],
        reassemblyBytes: [sessions.reassembly.bytes, config.limits.reassemblyBytes],
        probes: [echo.outstanding, 4096],
      },
    };
  }

  #links(): LinksReply {
    const rows: LinkRow[] = [];
    for (const { link, dial, trouble } of this.#node.links.neighbours()) {
      const why = dial === null || trouble === null ? null : this.#why(dial, trouble);
      const aheadUs = link === null ? null : (this.#node.router.clocks?.aheadUs(link) ?? null);
      if (link === null) {
        rows.push(this.#dialRow(dial!, trouble, why));
        continue;
      }
      const row = this.#linkRow(link);
      rows.push({
        ...row,
        name: row.name ?? dial?.config.name ?? null,
        why,
        clockAheadMs: aheadUs === null ? null : ms(aheadUs),
      });
    }
    return { schema: 1, links: rows, twins: this.#twins() };
  }

  #clocks(): NonNullable<StatusReply['clocks']> | null {
    const {
      links,
      router: { clocks },
    } = this.#node;
    if (clocks === null) return null;
    const differ: { peer: string; aheadMs: number }[] = [];
    let agree = 0;
    for (const link of links.all()) {
      const aheadUs = link.up ? clocks.aheadUs(link) : null;
      if (aheadUs === null) continue;
      if (Math.abs(aheadUs) < CLOCK_WRONG) agree += 1;
      else differ.push({ peer: link.label, aheadMs: ms(aheadUs) });
    }
    return { differ, agree };
  }

  /** Nodes whose word is not believed now, by id. */
  #refused(): Map<NodeId, NodeRow> {
    const { router, links } = this.#node;
    const now = this.#env.clock.now();
    const rows = new Map<NodeId, NodeRow>();
    for (const {
      origin,
      reason,
      certificate,
      aheadUs,
      via,
      sequence,
      at,
    } of router.clocks?.refused() ?? []) {
      const name = certificate?.name ?? router.nameOf(origin);
      const who = name ?? formatNodeId(origin);
      const fault =
        reason === DropReason.linkStateOutOfTime || certificate === null
          ? clockFault(aheadUs)
          : links.watch.certificateFault(reason, certificate, via.endpoint);
      const short =
        reason === DropReason.linkStateOutOfTime
          ? 'clock'
          : `${links.watch.shortFault(reason)} certificate`;
      const text =
        `what ${who} says of its links is not believed (it came by ${via.label}): ` +
        `${fault.why}`;
      rows.set(origin, {
        node: formatNodeId(origin),
        name,
        reachable: false,
        self: false,
        sequence,
        ageMs: ms(now - at),
        links: [],
        why: { code: dropReasonName(reason), short, text, next: fault.next },
      });
    }
    return rows;
  }

  /**
   * Nodes that others name as their neighbours and that are not heard themselves: somebody between
   * does not believe them.
   */
  #unheard(refused: ReadonlyMap<NodeId, NodeRow>): NodeRow[] {
    const { router, config } = this.#node;
    const rows = new Map<NodeId, NodeRow>();
    for (const {
      advertisement: { origin, links },
    } of router.sortedRecords()) {
      if (origin === config.id) continue;
      const by = router.nameOf(origin) ?? formatNodeId(origin);
      for (const { node } of links) {
        if (
          rows.size >= UNHEARD_MAX ||
          node === config.id ||
          rows.has(node) ||
          refused.has(node) ||
          router.knows(node)
        )
          continue;
        const quad = formatNodeId(node);
        const text =
          `${quad} is a neighbour of ${by}, and what it says of its links does not ` +
          `come here: it started just now, or ${by} does not believe it`;
        rows.set(node, {
          node: quad,
          name: router.nameOf(node),
          reachable: false,
          self: false,
          sequence: -1,
          ageMs: 0,
          links: [],
          why: {
            code: 'notHeard',
            short: 'not heard',
            text,
            next: `see \`spines nodes\` and \`spines doctor\` on ${by}, which say why`,
          },
        });
      }
    }
    return [...rows.values()];
  }

  #why(dial: Dial, trouble: Trouble): WhyReply {
    const { short, why, next } = this.#node.links.watch.text(dial, trouble);
    return { code: trouble.code, short, text: why, next };
  }

  /** A neighbour of the configuration that has no link by this address. */
  #dialRow(dial: Dial, trouble: Trouble | null, why: WhyReply | null): LinkRow {
    const node = dial.node ?? dial.link?.node ?? null;
    const since = dial.link?.up === true ? dial.link.stateSince : dial.outcome.since;
    return {
      node: node === null ? null : formatNodeId(node),
      name: dial.config.name ?? (node === null ? null : this.#node.router.nameOf(node)),
      address: dial.endpoint.key,
      state: trouble?.code === 'sameNode' ? 'standby' : 'connecting',
      sinceMs: ms(this.#env.clock.now() - since),
      dialled: true,
      rttMs: null,
      lossOutPct: 0,
      lossInPct: 0,
      cost: null,
      sent: { datagrams: 0, bytes: 0 },
      received: { datagrams: 0, bytes: 0 },
      retransmitted: 0,
      dropped: 0,
      queueBytes: 0,
      congestion: null,
      windowBytes: null,
      inFlightBytes: null,
      size: null,
      seal: null,
      emulated: this.#env.emulation?.get(dial.endpoint) ?? null,
      why,
    };
  }

  #linkRow(link: Link): LinkRow {
    const { rtt, lossIn, lossOut } = link.liveness;
    const totals = link.totals;
    const window = link.service(SERVICE_RELIABLE)!.window!;
    const headers = link.endpoint.address.includes(':') ? 48 : 28;
    const own = this.#node.router.database
      .get(this.#node.config.id)
      ?.advertisement.links.find((entry) => entry.node === link.node);
    return {
      node: formatNodeId(link.node),
      name: this.#node.router.nameOf(link.node) ?? link.name,
      address: link.endpoint.key,
      state: link.state,
      sinceMs: ms(this.#env.clock.now() - link.stateSince),
      dialled: link.dialled,
      rttMs: rtt.samples === 0 ? null : ms(rtt.smoothedUs),
      lossOutPct: percent(lossOut),
      lossInPct: percent(lossIn.rate),
      cost: own === undefined ? null : linkCost(own, this.#node.config.metric),
      sent: {
        datagrams: totals.sentDatagrams,
        bytes: totals.sentBytes + headers * totals.sentDatagrams,
      },
      received: {
        datagrams: totals.receivedDatagrams,
        bytes: totals.receivedBytes + headers * totals.receivedDatagrams,
      },
      congestion: window.congestion,
      windowBytes: window.windowBytes,
      inFlightBytes: window.inFlightBytes,
      retransmitted: link.retransmitted,
      dropped: link.dropped + (this.#env.emulation?.dropped(link.endpoint) ?? 0),
      queueBytes: link.queueBytes,
      size:
        link.channel === null
          ? null
          : {
              datagramBytes: link.channel.size,
              packetBytes: link.channel.size + headers,
              searching: link.sizes.state === 'searching',
            },
      wireVersion: link.channel?.version ?? null,
      seal: this.#sealOf(link),
      emulated: this.#env.emulation?.get(link.endpoint) ?? null,
      flaps: link.flaps.within(this.#env.clock.now()),
    };
  }

  #sealOf({ channel, certificate }: Link): LinkRow['seal'] {
    if (channel === null || certificate === null) return null;
    return {
      serial: certificate.serial,
      notAfterS: certificate.notAfterS,
      keyAgeMs: ms(this.#env.clock.now() - channel.epoch.madeAt),
      rekeys: channel.rekeys,
    };
  }

  #sessions(): SessionsReply {
    const sessions: SessionRow[] = [];
    const { router } = this.#node;
    const none = {
      rttMs: null,
      windowBytes: null,
      inFlightBytes: null,
      queuedBytes: null,
      resentBytes: null,
      ecnMarks: null,
      limitedBy: null,
    };
    for (const client of this.#clients) {
      const { certificate } = client.access;
      for (const session of client.datagrams()) {
        sessions.push({
          kind: 'datagram',
          state: client.isBlocked(session) ? 'blocked' : '',
          client: client.name,
          certificate,
          port: session.port,
          remoteNode: null,
          remoteName: null,
          remotePort: null,
          link: SERVICE_NAMES[session.service]!,
          routing: routingName(session.dissemination),
          sent: session.sent,
          received: session.received,
          ...none,
        });
      }
      for (const { stream, listening, port, options } of client.streams.sockets()) {
        if (stream === null) {
          if (!listening) continue;
          sessions.push({
            kind: 'listener',
            state: '',
            client: client.name,
            certificate,
            port,
            remoteNode: null,
            remoteName: null,
            remotePort: null,
            link: SERVICE_NAMES[options.service]!,
            routing: routingName(options.dissemination),
            sent: 0,
            received: 0,
            ...none,
          });
          continue;
        }
        const { sender, receiver } = stream;
        sessions.push({
          kind: 'stream',
          state: stream.state === 'open' ? 'established' : stream.state,
          client: client.name,
          certificate,
          port,
          remoteNode: formatNodeId(stream.node),
          remoteName: router.nameOf(stream.node),
          remotePort: stream.port,
          link: SERVICE_NAMES[stream.options.service]!,
          routing: routingName(stream.options.dissemination),
          sent: sender.unacknowledged,
          received: receiver.received,
          rttMs: sender.rtt.samples === 0 ? null : ms(sender.rtt.smoothedUs),
          windowBytes: Math.round(sender.controller.window),
          inFlightBytes: sender.inFlight,
          queuedBytes: sender.unsent,
          resentBytes: sender.resent,
          ecnMarks: sender.marks,
          limitedBy: stream.limitedBy,
        });
      }
    }
    return { schema: 1, sessions };
  }

  #routes(): RoutesReply {
    const { router, config } = this.#node;
    const { ids, cost, hops, firstHop } = router.paths;
    const routes: RoutesReply['routes'] = [];
    for (let i = 0; i < ids.length; i += 1) {
      const node = ids[i]!;
      if (node === config.id) continue;
      const reachable = cost[i]! >= 0;
      const hop = firstHop[i]! < 0 ? null : ids[firstHop[i]!]!;
      routes.push({
        node: formatNodeId(node),
        name: router.nameOf(node),
        reachable,
        nextHop: hop === null ? null : formatNodeId(hop),
        nextHopName: hop === null ? null : router.nameOf(hop),
        cost: reachable ? cost[i]! : null,
        hops: reachable ? hops[i]! : null,
      });
    }
    return { schema: 1, metric: config.metric, routes };
  }

  /**
   * Neighbours that run twice, nodes that say so of themselves, and this daemon itself, if others
   * do.
   */
  #twins(): TwinRow[] {
    const { links, router, config } = this.#node;
    const now = this.#env.clock.now();
    const nearby: TwinRow[] = [...links.twins.records()].map(({ node, kept, refused, since }) => ({
      node: formatNodeId(node),
      name: router.nameOf(node),
      self: false,
      kept: kept.endpoint.key,
      refused: refused.endpoint.key,
      sinceMs: ms(now - since),
    }));
    const told = [...links.refusals()].find(({ reason }) => reason === REFUSAL_TWIN);
    const clone = router.clones.clone();
    const self = { node: formatNodeId(config.id), name: config.name, self: true };
    if (told !== undefined)
      nearby.push({
        ...self,
        here: 'refused',
        kept: told.twin === '' ? null : told.twin,
        refused: null,
        sinceMs: ms(now - told.at),
      });
    else if (clone !== null) {
      const { here, at, since } = clone;
      nearby.push({
        ...self,
        here,
        kept: here === 'kept' ? null : at,
        refused: here === 'kept' ? at : null,
        sinceMs: ms(now - since),
      });
    }
    return [...nearby, ...this.#farTwins(new Set(nearby.map(({ node }) => node)))];
  }

  /** Nodes that say of themselves that they run twice, beside those that are known. */
  #farTwins(known: ReadonlySet<string>): TwinRow[] {
    const { links, router, config } = this.#node;
    const rows: TwinRow[] = [];
    for (const {
      advertisement: { origin, facts, name },
      receivedAt,
    } of router.database.records()) {
      const node = formatNodeId(origin);
      if (
        origin === config.id ||
        facts === null ||
        !hasCapability(facts.capabilities, IDENTITY_TWICE) ||
        known.has(node)
      )
        continue;
      if (rows.length >= TWINS_MAX) break;
      // A link of ours may be with the other one.
      const link = links.of(origin),
        channel = link?.up === true ? link.channel : null;
      const other =
        channel !== null && channel.instance !== facts.instance ? channel.endpoint.key : null;
      rows.push({
        node,
        name: name === '' ? null : name,
        self: false,
        kept: null,
        refused: other,
        sinceMs: ms(this.#env.clock.now() - receivedAt),
      });
    }
    return rows;
  }

  #nodes(): NodesReply {
    const { router, config } = this.#node;
    const now = this.#env.clock.now();
    const refused = this.#refused();
    const nodes = router.sortedRecords().map(({ advertisement, receivedAt }): NodeRow => {
      const row = refused.get(advertisement.origin);
      refused.delete(advertisement.origin);
      return {
        node: formatNodeId(advertisement.origin),
        name: router.nameOf(advertisement.origin),
        reachable: router.reachable(advertisement.origin),
        self: advertisement.origin === config.id,
        sequence: advertisement.sequence,
        ageMs: ms(now - receivedAt),
        links: advertisement.links.map((link) => ({
          node: formatNodeId(link.node),
          name: router.nameOf(link.node),
          latencyMs: (link.latency * LATENCY_UNIT_US) / MILLISECOND,
          lossPct: percent(link.loss / 65_535),
          confirmed: advertises(
            router.database.get(link.node)?.advertisement.links ?? [],
            advertisement.origin,
          ),
        })),
        facts: factsReply(router.factsOf(advertisement.origin)),
        groups: [...(router.certificateOf(advertisement.origin)?.groups ?? [])],
        ...(row === undefined ? {} : { why: row.why }),
      };
    });
    return {
      schema: 1,
      twins: this.#twins(),
      nodes: [...nodes, ...refused.values(), ...this.#unheard(refused)],
    };
  }

  #ping(args: Arguments, reply: Reply, asker: ConnectedClient | null): void {
    const node = this.#target(args, 'node');
    const timeoutUs = integer(args, 'timeoutMs', 1, TIMEOUT_MAX_MS) * MILLISECOND;
    const bytes = args['bytes'] === undefined ? 0 : integer(args, 'bytes', 0, 65_535);
    const refused = this.#node.echo.probe(
      node,
      TTL_DEFAULT,
      SERVICE_BEST_EFFORT,
      bytes,
      timeoutUs,
      (result) => {
        if (result === null)
          reply(
            new SpinesError(
              'ETIMEDOUT',
              `${formatNodeId(node)} did not answer within ${ms(timeoutUs)} ms`,
            ),
          );
        else
          reply({
            node: formatNodeId(result.node),
            rttMs: result.rttUs / MILLISECOND,
            hops: result.hops,
          });
      },
      holderOf(asker),
    );
    if (refused !== DropReason.none) throw unsent(node, refused);
  }

  /**
   * Sends `probes` requests for every ttl, all at once, and answers when the last is in or given
   * up.
   */
  #trace(args: Arguments, reply: Reply, asker: ConnectedClient | null): void {
    const node = this.#target(args, 'node');
    const timeoutUs = integer(args, 'timeoutMs', 1, TIMEOUT_MAX_MS) * MILLISECOND;
    const probes = args['probes'] === undefined ? 3 : integer(args, 'probes', 1, TRACE_PROBES_MAX);
    const { router, config } = this.#node;
    const index = router.paths.indexOf.get(node);
    if (node !== config.id && (index === undefined || router.paths.cost[index]! < 0))
      throw unsent(node, DropReason.noRoute);
    const far = node === config.id ? 1 : Math.min(TRACE_HOPS_MAX, router.paths.hops[index!]! + 2);
    const rttSums = new Float64Array(far);
    const hops: TraceHop[] = [];
    for (let hop = 1; hop <= far; hop += 1)
      hops.push({ hop, node: null, name: null, rttMs: null, sent: 0, received: 0 });
    let open = far * probes;
    let reachedAt = far;
    let reached = false;
    const settle = (): void => {
      open -= 1;
      if (open > 0) return;
      const rows = reached ? hops.slice(0, reachedAt) : hops;
      rows.forEach((row, i) => {
        if (row.received > 0) row.rttMs = ms(rttSums[i]! / row.received);
      });
      const answer: TraceReply = { schema: 1, node: formatNodeId(node), reached, hops: rows };
      reply({ ...answer });
    };
    for (const row of hops) {
      for (let i = 0; i < probes; i += 1) {
        row.sent += 1;
        const refused = this.#node.echo.probe(
          node,
          row.hop,
          SERVICE_BEST_EFFORT,
          0,
          timeoutUs,
          (result) => {
            if (result !== null) {
              row.node = formatNodeId(result.node);
              row.name = router.nameOf(result.node);
              row.received += 1;
              rttSums[row.hop - 1]! += result.rttUs;
              if (result.reached) {
                reached = true;
                reachedAt = Math.min(reachedAt, row.hop);
              }
            }
            settle();
          },
          holderOf(asker),
        );
        if (refused !== DropReason.none) settle();
      }
    }
  }

  /** The path in use, or what discovery finds in time. */
  #byzantineTrace(args: Arguments, reply: Reply, asker: ConnectedClient | null): void {
    const node = this.#target(args, 'node');
    const timeoutUs = integer(args, 'timeoutMs', 1, TIMEOUT_MAX_MS) * MILLISECOND;
    const byzantine = this.#byzantine();
    const nameOf = (id: NodeId): string | null => this.#node.router.nameOf(id);
    const answer = ({ link, hops }: Pick<ByzantineTraceReply, 'link' | 'hops'>): void =>
      reply({ schema: 1, node: formatNodeId(node), link, hops });
    if (node === this.#node.config.id) {
      answer({ link: null, hops: [] });
      return;
    }
    const inUse = traceInUse(byzantine, node, nameOf);
    if (inUse !== null) {
      answer(inUse);
      return;
    }
    const certificate = asker?.access.certificate ?? null;
    // Each may be a search by the whole network, signed by this node, behind which its own flows
    // wait.
    const now = this.#env.clock.now();
    if (certificate !== null && !this.#remoteSearches.take(certificate, now)) {
      throw new SpinesError(
        'EAGAIN',
        'a remote client may have one path a second searched; ask again in some seconds',
      );
    }
    if (certificate === null && asker !== null && !this.#localSearchesOf(asker).take(now)) {
      throw new SpinesError(
        'EAGAIN',
        `a program may have ${LOCAL_SEARCHES_PER_SECOND} paths a second searched; ask again in a ` +
          'second',
      );
    }
    const looks = byzantine.findPath(node, timeoutUs, (path) => {
      if (path === null)
        reply(
          new SpinesError(
            'EHOSTUNREACH',
            `no path to ${formatNodeId(node)} was found within ${ms(timeoutUs)} ms; \`spines ` +
              `nodes\` shows whether it is known`,
          ),
        );
      else answer({ link: null, hops: traceHops(path.nodes, nameOf) });
    });
    if (!looks) throw unsent(node, DropReason.noRoute);
  }

  #localSearchesOf(asker: ConnectedClient): TokenBucket {
    let bucket = this.#localSearches.get(asker);
    if (bucket === undefined)
      this.#localSearches.set(
        asker,
        (bucket = new TokenBucket(LOCAL_SEARCHES_PER_SECOND, LOCAL_SEARCHES_BURST)),
      );
    return bucket;
  }

  #byzantine(): ByzantineRouter {
    const { byzantine } = this.#node;
    if (byzantine === null)
      throw new SpinesError(
        'EOPNOTSUPP',
        'byzantine routing needs identities and this daemon has security: none; start it with an ' +
          'identity',
      );
    return byzantine;
  }

  #misbehave(args: Arguments): MisbehaviourName {
    if (!this.#node.config.allowMisbehaviour) {
      throw new SpinesError(
        'EPERM',
        'this daemon may not be made to misbehave; start it with --allow-misbehaviour, or set ' +
          'laboratory.misbehaviour in its config',
      );
    }
    const what = text(args, 'what') as MisbehaviourName;
    this.#byzantine();
    misbehave(this.#node, what, this.#env);
    this.#env.log.warn({ what }, 'misbehaviour changed');
    return what;
  }

  #linkSet(args: Arguments): LinkSettings {
    const { config, links } = this.#node;
    if (!config.allowEmulation || this.#env.emulation === null) {
      throw new SpinesError(
        'EPERM',
        'this daemon does not allow emulation; start it with --allow-emulation, or set ' +
          'emulation.allow in its config',
      );
    }
    const peer = this.#target(args, 'peer');
    const link = links.of(peer);
    if (link === undefined)
      throw new SpinesError(
        'ENOENT',
        `there is no link to ${formatNodeId(peer)}; \`spines links\` lists the links`,
      );
    const change = args['settings'];
    if (typeof change !== 'object' || change === null || Array.isArray(change))
      throw new SpinesError('EINVAL', 'settings must be a map');
    for (const [name, value] of Object.entries(change)) {
      // Anything else (a map, a bigint) could throw in arithmetic.
      if (value == null || typeof value === 'number' || typeof value === 'boolean') continue;
      throw new SpinesError(
        'EINVAL',
        `settings.${name.slice(0, 40)} must be a number or a truth value`,
      );
    }
    const result = this.#env.emulation.set(link.endpoint, change as LinkSettings);
    if (result === null)
      throw new SpinesError(
        'ENOENT',
        `the link to ${formatNodeId(peer)} can't be emulated now; try again when it is up`,
      );
    return result;
  }

  #target(args: Arguments, name: string): NodeId {
    const written = text(args, name);
    const node = this.#node.resolve(written);
    const refused =
      node === null
        ? [...this.#refused().values()].find((row) => row.name === written)?.why
        : undefined;
    if (refused != null) throw new SpinesError('ENOTFOUND', `${refused.text}; ${refused.next}`);
    if (node === null)
      throw new SpinesError(
        'ENOTFOUND',
        `no node called "${written.slice(0, 64)}" is known; \`spines nodes\` lists those that are`,
      );
    return node;
  }
}

/**
 * Who shares with himself: a certificate, however often it connects, or a program of this machine.
 */
function holderOf(asker: ConnectedClient | null): unknown {
  return asker?.access.certificate ?? asker;
}

function unsent(node: NodeId, reason: DropReason): SpinesError {
  if (reason === DropReason.noRoute || reason === DropReason.linkDown) {
    return new SpinesError(
      'EHOSTUNREACH',
      `no route to ${formatNodeId(node)}; \`spines routes\` shows what is reachable`,
    );
  }
  return new SpinesError('ENOBUFS', `not sent to ${formatNodeId(node)}: ${dropReasonName(reason)}`);
}

function factsReply(facts: NodeFacts | null): NodeFactsReply | null {
  if (facts === null) return null;
  const { wire, release, capabilities, instance } = facts;
  return {
    version: releaseText(release),
    wireVersions: { ...wire },
    capabilities: capabilityNames(capabilities),
    instance: instanceText(instance),
  };
}

function routingName(dissemination: number): RoutingName {
  return dissemination === DISSEMINATION_BYZANTINE ? 'byzantine' : 'link-state';
}

function ms(us: Micros): number {
  return Math.round(us) / 1_000;
}

/** 0..1 as percent with two decimals. */
function percent(rate: number): number {
  return Math.round(rate * 10_000) / 100;
}

function identityStatus(membership: Membership | null): IdentityStatus | null {
  if (membership === null) return null;
  const {
    identity: { certificate },
    trust,
    nowS,
    primitives,
  } = membership;
  return {
    primitives: primitives.name,
    serial: certificate.serial,
    validUntilS: certificate.notAfterS,
    leftS: certificate.notAfterS - nowS,
    authorities: trust.authorities.map(({ name, signingKey, notAfterS }) => ({
      name,
      id: hex(authorityIdOf(signingKey)),
      validUntilS: notAfterS,
    })),
    revocations: trust.revocations.map(({ authority, number, serials }) => ({
      authority: hex(authority),
      number,
      revoked: serials.length,
    })),
    presharedKeys: membership.preshared.map(({ id }) => presharedText(id)),
  };
}
