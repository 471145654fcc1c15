/**
 * Both ends of a UDP tunnel in virtual time: an overlay of two nodes and a network of targets that
 * are arrays and maps. Everything arrives at once, in order, unless it is told not to.
 */

import { SECOND, type Micros } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { formatTarget, type Target } from '../../../../src/host/tunnel-target.ts';
import { UdpFar } from '../../../../src/host/tunnel/udp-far.ts';
import { encodeTarget } from '../../../../src/host/tunnel/udp-message.ts';
import { UdpNear, type NearOptions, type UdpClient } from '../../../../src/host/tunnel/udp-near.ts';
import type {
  HostEvents,
  HostNetwork,
  Overlay,
  OverlayEvents,
  TunnelLog,
} from '../../../../src/host/tunnel/udp-overlay.ts';

export const NEAR = '10.0.0.1';
export const FAR = '10.0.0.2';
export const VIA = 6_000;
export const TARGET: Target = { host: '127.0.0.1', port: 53 };
const FIRST_PORT = 40_000;

interface HostSocketRecord {
  readonly family: 4 | 6;
  readonly to: string | null;
  readonly events: HostEvents;
  open: boolean;
}

/** A client of the near end, and what it heard. */
export class Client implements UdpClient {
  readonly key: string;
  readonly source: string;
  readonly name: string;
  readonly heard: string[] = [];

  constructor(source: string, port: number) {
    this.source = source;
    this.key = this.name = `${source}:${port}`;
  }

  deliver(payload: Buffer, from: Buffer | null): void {
    this.heard.push(from === null ? String(payload) : `${from.toString('hex')} ${payload}`);
  }
}

export class UdpLab {
  now: Micros = 1_000 * SECOND;
  readonly timers = new TimerQueue();
  readonly near: UdpNear;
  far: UdpFar;
  /** Of overlay sockets, by "node port". */
  readonly sockets = new Map<string, OverlayEvents>();
  readonly nearRefused: Record<string, unknown>[] = [];
  readonly farRefused: Record<string, unknown>[] = [];
  readonly hostSockets: HostSocketRecord[] = [];
  readonly looked: string[] = [];
  /** "address:port" to what answers there; none: nobody listens. */
  readonly targets = new Map<string, (payload: string) => string[]>();
  readonly names = new Map<string, string>();
  allowed: (target: Target) => boolean = () => true;
  rules: (node: string, target: Target) => boolean = () => true;
  asked = 0;
  resolveLater: ((done: (address: string | null, code: string) => void) => void) | null = null;
  farNode: string | null = FAR;
  proved = true;
  /** The daemon of the near end takes what is sent. */
  takes = true;
  /** What was sent: "node port" of both ends, and bytes. */
  readonly wire: { from: string; to: string; bytes: Buffer }[] = [];
  #port = FIRST_PORT;
  #token = 0;
  readonly #farLimits;

  constructor(options: Partial<NearOptions> = {}, farLimits = {}) {
    const limits = { flowsMax: 16, perSourceMax: 8, idleUs: 120 * SECOND };
    this.#farLimits = { ...limits, flowsMax: 2_000, perSourceMax: 2_000, ...farLimits };
    const clock = { now: () => this.now };
    this.near = new UdpNear(
      {
        ...limits,
        via: VIA,
        farName: 'far',
        mode: { link: 0, routing: 0, deadlineMs: 0 },
        several: false,
        packetBytes: 1_372,
        ...options,
      },
      {
        clock,
        timers: this.timers,
        overlay: this.#overlay(NEAR),
        log: logTo(this.nearRefused),
        token: () => (this.#token += 1),
        farNode: () => this.farNode,
      },
    );
    this.far = this.startFar();
    this.targets.set('127.0.0.1:53', (payload) => [`echo ${payload}`]);
  }

  startFar(): UdpFar {
    this.far = new UdpFar(this.#farLimits, {
      clock: { now: () => this.now },
      timers: this.timers,
      overlay: this.#overlay(FAR),
      host: this.#host(),
      log: logTo(this.farRefused),
      isAllowed: (target) => this.allowed(target),
      mayReach: (node, target, done) => {
        this.asked += 1;
        done(this.rules(node, target), null);
      },
    });
    return this.far;
  }

  /** Ends the far end as a process that is killed. */
  killFar(): void {
    this.far.close();
  }

  send(client: UdpClient, payload: string | Buffer, target = TARGET): void {
    this.near.onDatagram(client, encodeTarget(target), Buffer.from(payload));
  }

  run(us: Micros): void {
    const until = this.now + us;
    while (this.timers.nextAt <= until) {
      this.now = Math.max(this.now, this.timers.nextAt);
      this.timers.runDue(this.now);
    }
    this.now = until;
  }

  /** Sockets of the far end's machine that are open. */
  get openHosts(): HostSocketRecord[] {
    return this.hostSockets.filter(({ open }) => open);
  }

  overlaySockets(node: string): number {
    return [...this.sockets.keys()].filter((key) => key.startsWith(`${node} `)).length;
  }

  deliver(from: string, to: string, bytes: Buffer): void {
    const [node, port] = from.split(' ') as [string, string];
    this.wire.push({ from, to, bytes });
    if (to === `${FAR} ${VIA}`) this.far.onMessage(bytes, node, Number(port), this.proved);
    else this.sockets.get(to)?.onMessage(bytes, node, Number(port), this.proved);
  }

  #overlay(node: string): Overlay {
    return {
      open: (_mode, _sealed, events) => {
        const own = `${node} ${(this.#port += 1)}`;
        this.sockets.set(own, events);
        return {
          send: (parts, to, port) => {
            if (!this.takes && node === NEAR) return false;
            this.deliver(own, `${to} ${port}`, Buffer.concat(parts));
            return true;
          },
          close: () => this.sockets.delete(own),
        };
      },
    };
  }

  #host(): HostNetwork {
    return {
      open: (family, to, events) => {
        const record = {
          family,
          to: to === null ? null : formatTarget({ host: to.address, port: to.port }),
          events,
          open: true,
        };
        this.hostSockets.push(record);
        return {
          send: (payload, address, port) => {
            const answers = this.targets.get(formatTarget({ host: address, port }));
            if (answers === undefined) {
              // The system tells it of a socket that is connected.
              if (to !== null) events.onError('ECONNREFUSED');
              return;
            }
            for (const answer of answers(String(Buffer.from(payload))))
              events.onMessage(Buffer.from(answer), address, port);
          },
          close: () => {
            record.open = false;
          },
        };
      },
      resolve: (host, done) => {
        this.looked.push(host);
        if (this.resolveLater !== null) {
          this.resolveLater(done);
          return;
        }
        const found = this.names.get(host) ?? (/^[\d.]+$|:/.test(host) ? host : null);
        done(found, found === null ? 'ENOTFOUND' : '');
      },
    };
  }
}

function logTo(lines: Record<string, unknown>[]): TunnelLog {
  return {
    info: () => {},
    refused: (fields) => {
      lines.push({ ...fields });
    },
  };
}
