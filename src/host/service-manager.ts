/**
 * What a service manager is told of the daemon: that it is ready, that it stops, and that its event
 * loop still turns (sd_notify(3), systemd.service(5): Type=notify, WatchdogSec).
 *
 * The message goes as a datagram to the Unix socket that NOTIFY_SOCKET names. Node has no such
 * sockets: koffi calls the system where it is installed, else the program systemd-notify is run.
 * Without NOTIFY_SOCKET nothing is done, and no timer runs. Never throws: a daemon carries traffic
 * whether or not anybody is told.
 */

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

import type { Log } from '../core/base/log.ts';

const AF_UNIX = 1,
  SOCK_DGRAM = 2,
  SOCK_CLOEXEC = 0o2000000,
  MSG_DONTWAIT = 0x40,
  MSG_NOSIGNAL = 0x4000;
/** struct sockaddr_un: the family, and a path of at most 107 bytes. */
const FAMILY_BYTES = 2,
  PATH_BYTES_MAX = 107;

/** Sends one message; false: it could not. */
type Send = (message: string) => boolean;

/** What is used of koffi. */
interface Koffi {
  load(path: null): { func(prototype: string): (...args: readonly unknown[]) => number };
}

export class ServiceManager {
  readonly #send: Send | null;
  readonly #watchdogMs: number | null;
  #timer: NodeJS.Timeout | null = null;

  /**
   * Takes what `environment` says out of it, so that no child speaks for this process. `direct`: by
   * calls of this process, where it can.
   */
  constructor(log: Log, environment: NodeJS.ProcessEnv = process.env, direct = true) {
    const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: us, WATCHDOG_PID: pid } = environment;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
    const address = addressOf(socket);
    this.#send =
      address === null ? null : ((direct ? byKoffi(address) : null) ?? byProgram(socket, log));
    if (socket !== '' && address === null)
      log.warn({ socket }, 'NOTIFY_SOCKET is no socket that can be told: nothing is said to it');
    const mine = pid === undefined || pid === String(process.pid);
    this.#watchdogMs = mine && /^[1-9]\d{0,14}$/.test(us ?? '') ? Number(us) / 1_000 : null;
  }

  /** It takes links and programs now; from now on it says that it lives. */
  ready(status: string): void {
    if (this.#send === null) return;
    this.#send(`READY=1\nSTATUS=${oneLine(status)}`);
    if (this.#watchdogMs === null) return;
    // Half of it, as sd_watchdog_enabled(3) advises; a loop that stands still says nothing.
    this.#timer = setInterval(() => this.#send!('WATCHDOG=1'), this.#watchdogMs / 2);
    this.#timer.unref();
  }

  /** It says good-bye to others, which may take some time. */
  stopping(): void {
    this.#send?.('STOPPING=1');
  }

  /** Nothing is said any more. */
  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** struct sockaddr_un of a path, or of an abstract name ("@..."); null: it is neither. */
function addressOf(socket: string): Uint8Array | null {
  const path = Buffer.from(socket, 'utf8');
  if (!/^[/@]./s.test(socket) || path.length > PATH_BYTES_MAX || path.includes(0)) return null;
  const abstract = socket.startsWith('@');
  if (abstract) path[0] = 0;
  // An abstract name ends with the address, a path with a zero.
  const address = new Uint8Array(FAMILY_BYTES + path.length + (abstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, FAMILY_BYTES);
  return address;
}

/** Null where the system can't be called. */
function byKoffi(address: Uint8Array): Send | null {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return null;
  try {
    const libc = (createRequire(import.meta.url)('koffi') as Koffi).load(null);
    const socket = libc.func('int socket(int, int, int)');
    const sendto = libc.func('long sendto(int, uint8_t *, size_t, int, uint8_t *, uint32_t)');
    const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return null;
    return (message) => {
      const bytes = Buffer.from(message, 'utf8');
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      return sendto(fd, bytes, bytes.length, flags, address, address.length) === bytes.length;
    };
  } catch {
    return null;
  }
}

/** The unit needs NotifyAccess=all for it: another process speaks. */
function byProgram(socket: string, log: Log): Send {
  return (message) => {
    const program = spawn('systemd-notify', message.split('\n'), {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'] ?? '', NOTIFY_SOCKET: socket },
    });
    program.on('error', (error) =>
      log.warn({ error: error.message }, 'the service manager could not be told'),
    );
    program.unref();
    return true;
  };
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ');
}
