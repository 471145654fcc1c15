/**
 * The daemon's door for client programs: a Unix socket, and loopback TCP where configured.
 *
 * Moves bytes between sockets and ClientPorts; knows nothing of frames. Writes of one turn leave together.
 * A stale socket file of a daemon that died is replaced, a live daemon's is not.
 */

import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { SpinesError } from '../base/errors.ts';
import type { ClientOut, ClientPort } from '../ipc/client-port.ts';

export interface IpcEvents {
  /** A client connected: its port, or null to refuse it. */
  onClient(out: ClientOut): ClientPort | null;
  /** Before bytes of a client are handled. */
  onTurn(): void;
  /** Something was handled: end the turn soon. */
  onTurnEnd(): void;
}

/** A client that does not take its last bytes is cut off after this long. */
const LINGER_MS = 1_000;

class SocketOut implements ClientOut {
  readonly #socket: Socket;
  readonly #corked: SocketOut[];
  #listed = false;
  #ended = false;

  constructor(socket: Socket, corked: SocketOut[]) {
    this.#socket = socket;
    this.#corked = corked;
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.#socket.destroyed) return;
    if (!this.#listed) {
      this.#listed = true;
      this.#socket.cork();
      this.#corked.push(this);
    }
    this.#socket.write(bytes);
  }

  flush(): void {
    this.#listed = false;
    this.#socket.uncork();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#listed) this.#socket.uncork();
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }
}

export class IpcServer {
  readonly #events: IpcEvents;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #corked: SocketOut[] = [];
  #path: string | null = null;

  constructor(events: IpcEvents) {
    this.#events = events;
  }

  /** Listens on a Unix socket with mode 0600. Throws SpinesError EADDRINUSE when a daemon answers there already. */
  async listenUnix(path: string): Promise<void> {
    await removeStale(path);
    await this.#listen((server, done) => server.listen({ path }, done), path);
    chmodSync(path, 0o600);
    this.#path = path;
  }

  async listenTcp(address: string, port: number): Promise<void> {
    await this.#listen((server, done) => server.listen({ host: address, port }, done), `${address}:${port}`);
  }

  /** What was written in this turn leaves. */
  flush(): void {
    for (let i = 0; i < this.#corked.length; i += 1) this.#corked[i]!.flush();
    this.#corked.length = 0;
  }

  async close(): Promise<void> {
    this.flush();
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    setTimeout(() => { for (const socket of this.#sockets) socket.destroy(); }, LINGER_MS).unref();
    await Promise.all(closed);
    if (this.#path !== null) removeFile(this.#path);
  }

  async #listen(start: (server: Server, done: () => void) => void, where: string): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new SpinesError(error.code ?? 'EIO', `can't listen for clients on ${where}: ${error.code ?? error.message}; choose another place with --socket`));
      });
      start(server, resolve);
    });
    this.#servers.push(server);
  }

  #onConnection(socket: Socket): void {
    const port = this.#events.onClient(new SocketOut(socket, this.#corked));
    if (port === null) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on('data', (chunk) => {
      this.#events.onTurn();
      port.onBytes(chunk);
      this.#events.onTurnEnd();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#events.onTurn();
      port.close();
      this.#events.onTurnEnd();
    });
  }
}

/** Removes a socket file that nobody listens on. */
async function removeStale(path: string): Promise<void> {
  let isSocket: boolean;
  try {
    isSocket = lstatSync(path).isSocket();
  } catch {
    return;
  }
  if (!isSocket) throw new SpinesError('EEXIST', `${path} exists and is not a socket; remove it, or choose another place with --socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => { probe.destroy(); resolve(true); });
    probe.once('error', () => resolve(false));
  });
  if (alive) throw new SpinesError('EADDRINUSE', `a daemon answers on ${path} already; stop it, or give this one another place with --socket`);
  removeFile(path);
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already.
  }
}
