/**
 * A running daemon: SpinesNode with real sockets, a real clock, and an optional emulated wire under it.
 *
 * Owns the event-loop turn: datagrams, client bytes and timers of one loop iteration are handled as they come,
 * and the flush runs once after them, before the loop waits again. Ends in order on `stop`.
 */

import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { makeEndpoint, type DatagramSink } from '../base/datagram.ts';
import { AssertionError } from '../base/assert.ts';
import type { Log } from '../base/log.ts';
import { Rng } from '../base/rng.ts';
import { EmulatedSink } from '../emulation/emulated-sink.ts';
import { defaultDirection, toLinkSettings, type DirectionSettings } from '../emulation/link-settings.ts';
import type { EmulationControl } from '../node/administration.ts';
import type { NodeConfig } from '../node/config.ts';
import { SpinesNode } from '../node/node.ts';
import { DropReason } from '../wire/drop.ts';
import { IpcServer } from './ipc-server.ts';
import { stopwatch, SystemClock, TimerDriver } from './system-clock.ts';
import { UdpSink, type UdpAddress } from './udp.ts';

export interface DaemonOptions {
  readonly config: NodeConfig;
  readonly listen: readonly UdpAddress[];
  readonly client: { readonly socketPath: string | null; readonly tcp: UdpAddress | null };
  /** Emulated characteristics of what leaves for a peer's UDP address. */
  readonly emulation: readonly { readonly peer: UdpAddress; readonly settings: DirectionSettings }[];
  readonly emulationSeed: number;
  readonly log: Logger;
}

export interface RunningDaemon {
  /** Says good-bye to neighbours and clients, then closes everything. */
  stop(): Promise<void>;
  /** Resolves when the daemon has stopped, by `stop` or by a client's request. */
  readonly done: Promise<void>;
  /** "address:port" of each UDP socket. */
  readonly listen: readonly string[];
  readonly node: SpinesNode;
}

/** Datagrams on an emulated wire may leave this much early, and as often leave late: a grain of the OS timer. */
const WIRE_GRAIN_US = 1_000;

/** Throws SpinesError when an address can't be had. */
export async function startDaemon(options: DaemonOptions): Promise<RunningDaemon> {
  return await new Daemon(options).start();
}

class Daemon implements RunningDaemon {
  readonly done: Promise<void>;
  readonly #options: DaemonOptions;
  readonly #clock = new SystemClock();
  readonly #timers = new TimerDriver(this.#clock, 0, () => this.#scheduleTurnEnd());
  /** Of the emulated wires: nothing of the core runs on it, so its turns need no end. */
  readonly #wireTimers = new TimerDriver(this.#clock, WIRE_GRAIN_US, () => {});
  readonly #udp: UdpSink;
  readonly #ipc: IpcServer;
  readonly #rng: Rng;
  #node: SpinesNode | null = null;
  #turnEndScheduled = false;
  #stopping: Promise<void> | null = null;
  #onDone: () => void = () => {};

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.done = new Promise((resolve) => { this.#onDone = resolve; });
    this.#rng = new Rng(randomBytes(4).readUInt32LE());
    this.#udp = new UdpSink({
      onDatagram: (bytes, from) => {
        this.#clock.tick();
        this.#node?.onDatagram(bytes, bytes.length, from);
        this.#scheduleTurnEnd();
      },
      onWritable: () => {
        this.#clock.tick();
        this.#node?.onSinkWritable();
        this.#scheduleTurnEnd();
      },
      onDropped: () => this.#node?.drops.count(DropReason.sinkFull),
      onError: (error) => options.log.warn({ error: error.message }, 'UDP socket error'),
    });
    this.#ipc = new IpcServer({
      onClient: (out) => this.#node?.attachClient(out) ?? null,
      onTurn: () => this.#clock.tick(),
      onTurnEnd: () => this.#scheduleTurnEnd(),
    });
  }

  get node(): SpinesNode {
    return this.#node!;
  }

  get listen(): readonly string[] {
    return this.#udp.addresses.map((endpoint) => endpoint.key);
  }

  async start(): Promise<this> {
    const { config, listen, client, log } = this.#options;
    try {
      await this.#udp.open(listen);
      if (client.socketPath !== null) await this.#ipc.listenUnix(client.socketPath);
      if (client.tcp !== null) await this.#ipc.listenTcp(client.tcp.address, client.tcp.port);
    } catch (error) {
      await this.#udp.close();
      await this.#ipc.close();
      throw error;
    }
    const { sink, emulation } = this.#makeSink();
    this.#clock.tick();
    const node = new SpinesNode(config, {
      clock: this.#clock, stopwatch, timers: this.#timers.queue, rng: this.#rng, sink, log: toLog(log), emulation, listen: this.listen,
      onShutdownRequested: () => void this.stop(),
    });
    this.#node = node;
    node.start();
    this.#scheduleTurnEnd();
    log.info({ listen: this.listen, socket: client.socketPath, receiveBufferBytes: this.#udp.receiveBufferBytes }, 'daemon started');
    log.warn('links are not encrypted or authenticated (security: none)');
    return this;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#clock.tick();
    this.#node?.stop();
    this.#timers.stop();
    this.#wireTimers.stop();
    this.#ipc.flush();
    await this.#ipc.close();
    await this.#udp.close();
    this.#options.log.info('daemon stopped');
    this.#onDone();
  }

  #makeSink(): { sink: DatagramSink; emulation: EmulationControl | null } {
    const { emulation, emulationSeed, config } = this.#options;
    if (emulation.length === 0 && !config.allowEmulation) return { sink: this.#udp, emulation: null };
    const sink = new EmulatedSink(this.#udp, this.#clock, this.#wireTimers.queue, new Rng(emulationSeed), { slackUs: WIRE_GRAIN_US });
    for (const { peer, settings } of emulation) {
      const { key } = makeEndpoint(peer.address, peer.port);
      sink.attach(key, settings, `to ${key}`);
    }
    const control: EmulationControl = {
      get: (peer) => {
        const model = sink.get(peer.key);
        return model === null ? null : toLinkSettings(model.settings);
      },
      set: (peer, change) => {
        if (sink.get(peer.key) === null) sink.attach(peer.key, defaultDirection(), `to ${peer.key}`);
        const settings = sink.setLink(peer.key, change);
        return settings === null ? null : toLinkSettings(settings);
      },
      dropped: (peer) => {
        const counters = sink.get(peer.key)?.counters;
        return counters === undefined ? 0 : counters.lost + counters.queueDropped;
      },
    };
    return { sink, emulation: control };
  }

  #scheduleTurnEnd(): void {
    if (this.#turnEndScheduled) return;
    this.#turnEndScheduled = true;
    setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    this.#turnEndScheduled = false;
    if (this.#stopping !== null) return;
    this.#clock.tick();
    this.#node!.flush();
    this.#ipc.flush();
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

/** Says what failed and ends the process: our own bug is not survived half way. */
export function exitOnBug(log: Logger): void {
  const onBug = (error: unknown): void => {
    const what = error instanceof AssertionError ? 'assertion failed' : 'uncaught error';
    log.fatal({ error: error instanceof Error ? error.stack : String(error) }, what);
    process.exit(70);
  };
  process.on('uncaughtException', onBug);
  process.on('unhandledRejection', onBug);
}
