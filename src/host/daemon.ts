/**
 * A running daemon: SpinesNode with real sockets, a real clock, and an optional emulated wire under
 * it.
 *
 * Owns the event-loop turn: datagrams, client bytes and timers of one loop iteration are handled as
 * they come, and the flush runs once after them, before the loop waits again. Ends in order on
 * `stop`.
 */

import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { Logger } from 'pino';
import { SpinesError } from '../core/base/errors.ts';
import { drawIndexMark } from '../core/base/index-mark.ts';
import type { Log } from '../core/base/log.ts';
import { Rng } from '../core/base/rng.ts';
import { SECOND } from '../core/base/time.ts';
import { REMOTE_ROLE, type ClientAccess } from '../core/ipc/client.ts';
import type { ClientRole } from '../core/ipc/roles.ts';
import type { Certificate } from '../core/wire/certificate.ts';
import { SpinesNode } from '../core/node/node.ts';
import { DropReason } from '../core/wire/drop.ts';
import { WIRE_GRAIN_US, wireOver } from './emulated-wire.ts';
import { DampedLog } from './log/damped-log.ts';
import { ExpiryWatch } from './identity/expiry-watch.ts';
import type { OpenDoor } from './web/open-http.ts';
import { writeRevocations } from './identity/identity-files.ts';
import { IpcServer, type DoorEvents } from './doors/ipc-server.ts';
import { Lateness } from './lateness.ts';
import { processIdentity } from './doors/process-identity.ts';
import { NameWatch } from './net/name-watch.ts';
import { ReachProbe } from './net/reach-probe.ts';
import { RemoteDoor } from './doors/remote-door.ts';
import { secureRandom } from './primitives/secure-random.ts';
import { SharedReload } from './config/shared-reload.ts';
import { Standstill } from './standstill.ts';
import { stopwatch, SystemClock, TimerDriver, wallClock } from './system-clock.ts';
import { readOrMakeToken, tokenGrants } from './doors/token-file.ts';
import { setLogLevel } from './log/log-level.ts';
import { SendTroubles } from './net/send-troubles.ts';
import { RECEIVE_BUFFER_BYTES, UdpSink } from './net/udp.ts';
import type { DaemonOptions, HttpOptions, Reload, RemoteRole } from './daemon-options.ts';
import type { HostFigures } from 'spines-client/protocol';
import { MISBEHAVE } from '../lab/misbehaviour/misbehaviour.ts';

/** Host names that may have to be looked up are looked at this often. */
const NAMES_MS = 1_000;
/** Addresses that take no batches: said once each. */
const TOLD_UNBATCHED_MAX = 1_000;

export interface RunningDaemon {
  /**
   * Applies what is in the files now; the changes. Throws SpinesError when they are refused, and
   * nothing has changed. `by`: for the audit log.
   */
  reload(by?: string): readonly string[];
  /** The same as soon as that does not hold up the daemon: reloads that come in a storm are one. */
  requestReload(by: string): void;
  /** Says good-bye to neighbours and clients, then closes everything. `by`: for the audit log. */
  stop(by?: string): Promise<void>;
  /** Resolves when the daemon has stopped, by `stop` or by a client's request. */
  readonly done: Promise<void>;
  /** "address:port" of each UDP socket. */
  readonly listen: readonly string[];
  /** Port for remote clients; null: none. */
  readonly remotePort: number | null;
  /** Port of the HTTP door; null: none. */
  readonly httpPort: number | null;
  readonly node: SpinesNode;
}

/**
 * Datagrams of one turn, 1 to 5 ms of work: then what is due is done and what waits leaves, before
 * more is read. The kernel hands over up to 2,048 at once, glued.
 */
const TURN_DATAGRAMS_MAX = 256;

/** Throws SpinesError when an address can't be had. */
export async function startDaemon(options: DaemonOptions): Promise<RunningDaemon> {
  return await new Daemon(options).start();
}

class Daemon implements RunningDaemon {
  readonly done: Promise<void>;
  readonly #options: DaemonOptions;
  readonly #clock = new SystemClock();
  readonly #lateness = new Lateness(this.#clock.now());
  readonly #unsent = new SendTroubles(this.#clock.now());
  readonly #timers = new TimerDriver(
    this.#clock,
    0,
    () => this.#scheduleTurnEnd(),
    (late, now) => this.#lateness.add(late, now),
  );
  /** Of the emulated wires: nothing of the core runs on it, so its turns end with what it sent. */
  readonly #wireTimers = new TimerDriver(this.#clock, WIRE_GRAIN_US, () => this.#udp.flush());
  readonly #udp: UdpSink;
  readonly #ipc: IpcServer;
  readonly #remote: RemoteDoor | null;
  readonly #rng: Rng;
  readonly #expiry: ExpiryWatch | null;
  readonly #refusals: DampedLog;
  readonly #standstill: Standstill;
  readonly #reach: ReachProbe;
  readonly #names: NameWatch;
  #namesTimer: NodeJS.Timeout | undefined;
  readonly #shared = new SharedReload({
    now: () => performance.now(),
    after: (ms, action) => {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
    read: () => this.#reload(),
  });
  /** Another one in each run: nobody outside knows it. */
  readonly #mark = drawIndexMark(randomBytes(4).readUInt32LE());
  #remotePort: number | null = null;
  #http: OpenDoor | null = null;
  #roles: readonly RemoteRole[];
  #node: SpinesNode | null = null;
  #turnEndScheduled = false;
  #turnDatagrams = 0;
  /** One function for all turns: they are as many as packets while there is little to do. */
  readonly #onTurnEnd = (): void => this.#endTurn();
  #stopping: Promise<void> | null = null;
  #onDone: () => void = () => {};

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#roles = options.client.roles ?? [];
    this.done = new Promise((resolve) => {
      this.#onDone = resolve;
    });
    const { membership, log } = options;
    this.#refusals = new DampedLog(toLog(log));
    this.#expiry = membership === null ? null : new ExpiryWatch(membership, toLog(log));
    this.#standstill = new Standstill(toLog(log));
    const listens = (v6: boolean): boolean =>
      this.#udp.addresses.some(({ address }) => address.includes(':') === v6);
    this.#names = this.#makeNames(listens);
    this.#reach = new ReachProbe(listens, () => this.#clock.tick());
    this.#rng = new Rng(randomBytes(4).readUInt32LE());
    const toldUnbatched = new Set<string>();
    this.#udp = new UdpSink(
      {
        // Not once a turn: an answer that comes within the turn of its question would have taken no
        // time.
        onRead: () => this.#clock.tick(),
        onDatagram: (bytes, from) => {
          const whole = this.#node?.onDatagram(bytes, bytes.length, from) ?? true;
          this.#scheduleTurnEnd();
          this.#turnDatagrams += 1;
          if (this.#turnDatagrams >= TURN_DATAGRAMS_MAX) this.#breathe();
          return whole;
        },
        opener: {
          knows: (receiver, number) => this.#node?.links.indices.knows(receiver, number) ?? false,
          opens: (bytes, start, end) => this.#node?.links.indices.opens(bytes, start, end) ?? false,
        },
        onWritable: () => {
          this.#clock.tick();
          this.#node?.onSinkWritable();
          this.#scheduleTurnEnd();
        },
        onDropped: (to, why) => {
          this.#node?.drops.count(DropReason.sinkFull);
          this.#unsent.note(why, to.key, 1, this.#clock.now());
        },
        onRefused: (to, datagrams, code) => {
          this.#node?.drops.count(DropReason.sendRefused, datagrams);
          this.#unsent.note(code, to.key, datagrams, this.#clock.now());
        },
        onTooLong: (to, datagrams) => this.#node?.onDatagramTooLong(to, datagrams),
        onUnbatched: (to, code) => {
          if (toldUnbatched.has(to.key) || toldUnbatched.size >= TOLD_UNBATCHED_MAX) return;
          toldUnbatched.add(to.key);
          options.log.info(
            { to: to.key, reason: code },
            'the system takes one datagram a call to this address: no UDP offload there',
          );
        },
        onError: (error) => options.log.warn({ error: error.message }, 'UDP socket error'),
      },
      options.offload ?? null,
      this.#mark,
    );
    const doors: DoorEvents = {
      onClient: (out, access) => this.#node?.attachClient(out, access) ?? this.#whyNoClient(access),
      onRefused: (why, counted) => {
        if (!counted) this.#node?.drops.count(DropReason.clientRefused);
        this.#refusals.warn({ why }, 'client refused');
      },
      onTurn: () => this.#clock.tick(),
      onTurnEnd: () => this.#scheduleTurnEnd(),
    };
    this.#ipc = new IpcServer(doors);
    this.#remote =
      membership === null || (options.client.remote ?? null) === null
        ? null
        : new RemoteDoor(
            membership,
            () => this.#node?.drops,
            toLog(log),
            doors,
            (who) => this.#roleOf(who),
          );
  }

  get node(): SpinesNode {
    return this.#node!;
  }

  #roleOf({ name, groups: its }: Certificate): ClientRole {
    const meant = ({ clients, groups }: RemoteRole): boolean =>
      (clients.length === 0 && groups.length === 0) ||
      clients.includes(name) ||
      groups.some((group) => its.includes(group));
    return this.#roles.find(meant)?.role ?? REMOTE_ROLE;
  }

  #whyNoClient(access: ClientAccess): string {
    if (this.#node === null || this.#stopping !== null)
      return 'the daemon is starting or stopping; try again in a moment';
    return (
      this.#node.whyNoPlace(access) ??
      'too many programs are connected that say nothing; try again in some seconds'
    );
  }

  get remotePort(): number | null {
    return this.#remotePort;
  }

  get httpPort(): number | null {
    return this.#http?.port ?? null;
  }

  get listen(): readonly string[] {
    return this.#udp.addresses.map((endpoint) => endpoint.key);
  }

  async start(): Promise<this> {
    const { config, membership } = this.#options;
    try {
      await this.#open();
    } catch (error) {
      await this.#udp.close();
      await this.#remote?.close();
      await this.#http?.close();
      await this.#ipc.close();
      throw error;
    }
    this.#clock.tick();
    const node = this.#makeNode();
    this.#node = node;
    node.start();
    this.#scheduleTurnEnd();
    this.#announce();
    membership?.onRevocations((list) => {
      this.#audit('revocations', 'the network', {
        number: list.number,
        revoked: list.serials.length,
        keysAndHolders: list.subjects.length,
      });
      this.#keepRevocations(list.number);
    });
    this.#audit('start', 'the daemon', { node: config.name, pid: process.pid });
    this.#expiry?.start();
    this.#standstill.start();
    this.#namesTimer = setInterval(() => void this.#names.tick(), NAMES_MS);
    void this.#names.tick();
    return this;
  }

  #makeNames(listens: (v6: boolean) => boolean): NameWatch {
    return new NameWatch({
      dials: () => this.node.config.dials,
      isUp: (config) =>
        [...this.node.links.neighbours()].some(
          ({ dial, link }) => dial?.config === config && link?.up === true,
        ),
      canReach: (address) => listens(address.includes(':')),
      lookup: async (host) =>
        (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address),
      use: (dials) => {
        this.#clock.tick();
        this.node.reconfigure({ ...this.node.config, dials });
        this.#scheduleTurnEnd();
      },
      now: () => performance.now(),
      log: toLog(this.#options.log),
    });
  }

  /** Sockets for datagrams and clients. */
  async #open(): Promise<void> {
    const { listen, client, http } = this.#options;
    // First: of a daemon that runs already its socket says so, its port only that it is in use.
    if (client.socketPath !== null)
      await this.#ipc.listenUnix(client.socketPath, client.group ?? null);
    await this.#udp.open(listen);
    for (const { path, group, role, mode } of client.sockets ?? [])
      await this.#ipc.listenUnix(path, group, role, mode);
    if (client.tcp !== null) {
      const { address, tokenPath, tokens = [] } = client.tcp;
      const all = [{ path: tokenPath, role: 'full' as const }, ...tokens];
      await this.#ipc.listenTcp(
        address.address,
        address.port,
        tokenGrants(
          all.map(({ path, role }) => ({
            token: readOrMakeToken(path),
            grant: { role, file: path },
          })),
        ),
      );
    }
    if (http != null) this.#http = await this.#openHttp(http);
    if ((client.remote ?? null) === null) return;
    if (this.#remote === null)
      throw new SpinesError(
        'ECONFIG',
        'client.remote: needs `security: sealed` and an identity, since clients are known by ' +
          'certificate; leave it out otherwise',
      );
    this.#remotePort = await this.#remote.listen(client.remote!.address, client.remote!.port);
  }

  async #openHttp(http: HttpOptions): Promise<OpenDoor> {
    const { openHttp } = await import('./web/open-http.ts');
    return await openHttp(
      http,
      {
        operator: () => {
          if (this.#node === null || this.#stopping !== null) return null;
          this.#clock.tick();
          return this.#node.administration.operator;
        },
        figures: () => this.#hostFigures(),
        lateSumS: () => this.#lateness.sum / SECOND,
        onTurnEnd: () => this.#scheduleTurnEnd(),
      },
      {
        onRefused: (why) => {
          this.#node?.drops.count(DropReason.clientRefused);
          this.#refusals.warn({ why }, 'HTTP request refused');
        },
      },
    );
  }

  #makeNode(): SpinesNode {
    const { config, membership, log } = this.#options;
    const { sink, emulation } = wireOver(
      this.#udp,
      this.#options,
      this.#clock,
      this.#wireTimers.queue,
    );
    return new SpinesNode(config, {
      clock: this.#clock,
      stopwatch,
      timers: this.#timers.queue,
      rng: this.#rng,
      random: secureRandom,
      wall: wallClock,
      sink,
      log: toLog(log),
      emulation,
      operations: [MISBEHAVE],
      listen: this.listen,
      membership,
      mark: this.#mark,
      callsApart: this.#udp.apart,
      probe: this.#reach.probe,
      host: () => this.#hostFigures(),
      ...(this.#options.audit === undefined ? {} : { audit: this.#options.audit }),
      logLevel: (level) => setLogLevel(log, level),
      onShutdownRequested: () => void this.#end(),
      onReloadRequested: (reply) => {
        this.#shared.ask((result) => {
          reply(result);
          this.#scheduleTurnEnd();
        });
      },
    });
  }

  /** What the log says of how this daemon runs. */
  #announce(): void {
    const { client, membership, log } = this.#options;
    const { receiveBufferBytes, offloaded, dontFragment, apart } = this.#udp;
    log.info(
      {
        listen: this.listen,
        socket: client.socketPath,
        ...(this.#http === null ? {} : { httpPort: this.#http.port }),
        receiveBufferBytes,
        offload: offloaded,
        dontFragment,
        strangersApart: apart,
      },
      'daemon started',
    );
    const { without } = this.#options;
    if (without != null)
      log.info(
        { reason: without, dontFragment },
        'each datagram leaves in a system call of its own: no UDP offload',
      );
    if (membership === null)
      log.warn(
        'security: none. Links are NOT encrypted or authenticated: anyone who reaches the UDP ' +
          'port can join, read and forge',
      );
    else
      log.info(
        { primitives: membership.primitives.name, serial: membership.identity.certificate.serial },
        'links are sealed',
      );
  }

  reload(by = 'the daemon'): readonly string[] {
    try {
      const changes = this.#reload();
      this.#auditReload(by, { changes });
      return changes;
    } catch (error) {
      if (error instanceof SpinesError) this.#auditReload(by, error);
      throw error;
    }
  }

  #auditReload(by: string, result: { readonly changes: readonly string[] } | SpinesError): void {
    if (result instanceof SpinesError)
      this.#audit('reload', by, { why: result.message }, result.code);
    else this.#audit('reload', by, { changes: result.changes });
  }

  requestReload(by: string): void {
    this.#shared.ask((result) => this.#auditReload(by, result));
  }

  #audit(op: string, by: string, details: Readonly<Record<string, unknown>>, result = 'ok'): void {
    this.#options.audit?.({ op, by, result, details });
  }

  #reload(): readonly string[] {
    const { reload, membership, log } = this.#options;
    let accepted: Reload;
    try {
      if (this.#stopping !== null)
        throw new SpinesError(
          'EDAEMON',
          'the daemon is stopping; start it again with what is in its files now',
        );
      if (reload === null)
        throw new SpinesError(
          'ENOTSUP',
          'this daemon was started without files; restart it instead',
        );
      accepted = reload();
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      log.error({ error: error.message }, 'reload refused, nothing changed');
      throw new SpinesError('ECONFIG', `nothing was changed: ${error.message}`);
    }
    this.#clock.tick();
    if (membership !== null && accepted.credentials !== null)
      membership.replace(accepted.credentials);
    const { dials } = accepted.config;
    this.#node!.reconfigure({ ...accepted.config, dials: this.#names.filled(dials) });
    void this.#names.tick();
    log.level = accepted.logLevel;
    this.#roles = accepted.roles ?? this.#roles;
    this.#remote?.onRoles();
    this.#expiry?.check();
    this.#scheduleTurnEnd();
    log.info({ changes: accepted.changes }, 'config reloaded');
    return accepted.changes;
  }

  /** A list that could not be written is still in force until the daemon ends. */
  #keepRevocations(number: number): void {
    const { membership, revocationsPath, log } = this.#options;
    if (revocationsPath === null) return;
    try {
      writeRevocations(revocationsPath, membership!.trust.revocations);
      log.info({ number, file: revocationsPath }, 'new revocation list');
    } catch (error) {
      log.error(
        {
          number,
          file: revocationsPath,
          error: error instanceof Error ? error.message : String(error),
        },
        'revocation list could not be written',
      );
    }
  }

  stop(by = 'the daemon'): Promise<void> {
    if (this.#stopping === null) this.#audit('stop', by, {});
    return this.#end();
  }

  #end(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#clock.tick();
    this.#shared.end();
    this.#node?.stop();
    this.#expiry?.stop();
    this.#standstill.stop();
    this.#reach.close();
    clearInterval(this.#namesTimer);
    this.#names.stop();
    this.#timers.stop();
    this.#wireTimers.stop();
    this.#ipc.flush();
    await Promise.all([this.#ipc.close(), this.#remote?.close(), this.#http?.close()]);
    await this.#udp.close();
    this.#options.log.info('daemon stopped');
    this.#onDone();
  }

  #hostFigures(): HostFigures {
    const { offloaded, dontFragment, apart, receiveBufferBytes, batches, batchedDatagrams } =
      this.#udp;
    return {
      offload: offloaded,
      without: this.#options.without ?? null,
      dontFragment,
      strangersApart: apart,
      receiveBufferBytes,
      receiveBufferWanted: RECEIVE_BUFFER_BYTES,
      batches,
      batchedDatagrams,
      timersLateMs: this.#lateness.figures(this.#clock.now()),
      timersLateCounts: this.#lateness.counts,
      memoryBytes: process.memoryUsage.rss(),
      process: processIdentity(),
      unsent: this.#unsent.figures(this.#clock.now()),
      log: this.#options.logFigures?.() ?? null,
      audit: this.#options.auditFigures?.() ?? null,
    };
  }

  #scheduleTurnEnd(): void {
    if (this.#turnEndScheduled) return;
    this.#turnEndScheduled = true;
    setImmediate(this.#onTurnEnd);
  }

  /** Within a turn that is long. */
  #breathe(): void {
    this.#turnDatagrams = 0;
    if (this.#node === null || this.#stopping !== null) return;
    this.#clock.tick();
    this.#timers.runDue();
    this.#node.flush();
    this.#udp.flush();
  }

  #endTurn(): void {
    this.#turnEndScheduled = false;
    this.#turnDatagrams = 0;
    if (this.#stopping !== null) return;
    this.#clock.tick();
    this.#node!.flush();
    this.#udp.flush();
    this.#ipc.flush();
    this.#remote?.flush();
    this.#timers.rearm();
    this.#wireTimers.rearm();
    if (this.#node!.dissemination.loopbackPending) this.#scheduleTurnEnd();
  }
}

function toLog(log: Logger): Log {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
}
