/**
 * The daemon's door for client programs of its machine: a Unix socket, and loopback TCP with a
 * token where configured.
 *
 * Moves bytes between sockets and ClientPorts; knows nothing of frames. Writes of one turn leave
 * together. A stale socket file of a daemon that died is replaced, a live daemon's is not.
 */

import { chmodSync, lchownSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { SpinesError } from '../../core/base/errors.ts';
import {
  LOCAL_ACCESS,
  type ClientAccess,
  type ClientOut,
  type TokenGrant,
} from '../../core/ipc/client.ts';
import type { ClientPort } from '../../core/ipc/client-port.ts';
import type { ClientRole } from '../../core/ipc/roles.ts';
import { encodeControl, FRAME_EVENT } from 'spines-client/protocol';
import { Anteroom } from './anteroom.ts';
import { peerUser } from './peer-user.ts';
import { groupIdOf } from './socket-group.ts';
import { closeUnix, fileIdOf, removeStale, socketPathFault, type FileId } from './unix-socket.ts';

/** A client as doors see it. */
export type DoorPort = Pick<ClientPort, 'access' | 'onBytes' | 'dismiss' | 'close' | 'greeted'>;

/** What both doors, this one and that for remote clients, do to the daemon. */
export interface DoorEvents {
  /**
   * A client connected, and has proved who it is where that is asked: its port, or why it is
   * refused.
   */
  onClient(out: ClientOut, access: ClientAccess): DoorPort | string;
  /** A connection was refused; `why` is what it was told, `counted` whether `onClient` said so. */
  onRefused(why: string, counted: boolean): void;
  /** Before bytes of a client are handled. */
  onTurn(): void;
  /** Something was handled: end the turn soon. */
  onTurnEnd(): void;
}

/** A client that does not take its last bytes is cut off after this long. */
const LINGER_MS = 1_000;
/** Refused connections that are kept until they have read why; further ones are closed at once. */
const REFUSED_MAX = 64;
/**
 * Connections of one door that have not said HELLO, or shown the token, yet. How long each may take
 * is ClientPort's.
 */
export const SILENT_MAX = 256;
/** Connections that are over and wait for their last bytes to be read. */
const LINGERING_MAX = 256;

/** What is written in one turn to one client is joined in slabs of this size. */
const SLAB_BYTES = 65_536;
/** Slabs kept for later turns. */
const SLABS_MAX = 16;

/** Memory that clients borrow for a turn, or until a slow one has read it. */
class Slabs {
  readonly #free: Slab[] = [];

  take(): Slab {
    return this.#free.pop() ?? new Slab(this);
  }

  giveBack(slab: Slab): void {
    if (this.#free.length < SLABS_MAX) this.#free.push(slab);
  }
}

class Slab {
  readonly bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly #slabs: Slabs;
  /** Writes from it of which Node has not said that they are done. */
  #writing = 0;
  #lent = false;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  /**
   * Writes its first bytes. When they wait for a slow client they are Node's, and this slab may not
   * be filled again: false.
   */
  write(socket: Socket, length: number): boolean {
    this.#writing += 1;
    socket.write(this.bytes.subarray(0, length), this.#onWritten);
    this.#lent = socket.writableLength > 0;
    return !this.#lent;
  }

  readonly #onWritten = (): void => {
    this.#writing -= 1;
    if (this.#writing > 0 || !this.#lent) return;
    this.#lent = false;
    this.#slabs.giveBack(this);
  };
}

/**
 * What is written in one turn leaves as few long pieces. A slab that the kernel took at once is
 * filled again; one that waits for a slow client is Node's until the client has read it, unless it
 * is mostly empty: then its contents are copied, so that little data holds little memory.
 */
class SocketOut implements ClientOut {
  readonly #socket: Socket;
  readonly #dirty: SocketOut[];
  readonly #slabs: Slabs;
  readonly #lingering: Set<Socket>;
  #slab: Slab | null = null;
  #filled = 0;
  #listed = false;
  #ended = false;

  constructor(socket: Socket, dirty: SocketOut[], slabs: Slabs, lingering: Set<Socket>) {
    this.#lingering = lingering;
    this.#socket = socket;
    this.#dirty = dirty;
    this.#slabs = slabs;
  }

  get bufferedBytes(): number {
    return this.#filled + this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length <= SLAB_BYTES) {
      this.append(bytes, bytes, 0, 0);
      return;
    }
    if (this.#ended || this.#socket.destroyed) return;
    this.#pushOut();
    this.#socket.write(bytes);
  }

  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    if (this.#ended || this.#socket.destroyed) return;
    const length = head.length + end - start;
    if (length > SLAB_BYTES) {
      const own = Buffer.allocUnsafeSlow(length);
      own.set(head, 0);
      own.set(bytes.subarray(start, end), head.length);
      this.write(own);
      return;
    }
    if (this.#filled + length > SLAB_BYTES) this.#pushOut();
    if (!this.#listed) {
      this.#listed = true;
      this.#dirty.push(this);
    }
    const slab = (this.#slab ??= this.#slabs.take()).bytes;
    slab.set(head, this.#filled);
    if (end > start)
      slab.set(
        start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end),
        this.#filled + head.length,
      );
    this.#filled += length;
  }

  flush(): void {
    this.#listed = false;
    this.#pushOut();
    if (this.#slab !== null) this.#slabs.giveBack(this.#slab);
    this.#slab = null;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pushOut();
    this.#socket.end();
    this.#linger();
  }

  /** Until it has read its last bytes; who comes and goes faster than that has no time for it. */
  #linger(): void {
    const socket = this.#socket,
      lingering = this.#lingering;
    if (socket.destroyed) return;
    const [oldest] = lingering;
    if (lingering.size >= LINGERING_MAX) oldest!.destroy();
    lingering.add(socket);
    socket.once('close', () => lingering.delete(socket));
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  #pushOut(): void {
    if (this.#filled === 0) return;
    const slab = this.#slab!,
      length = this.#filled;
    this.#filled = 0;
    if (this.#socket.writableLength > 0 && length < SLAB_BYTES / 2)
      this.#socket.write(Buffer.from(slab.bytes.subarray(0, length)));
    else if (!slab.write(this.#socket, length)) this.#slab = null;
  }
}

/** Somebody who has not said HELLO. */
interface Guest {
  readonly socket: Socket;
  readonly port: DoorPort;
}

export class IpcServer {
  readonly #events: DoorEvents;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #dirty: SocketOut[] = [];
  readonly #slabs = new Slabs();
  readonly #lingering = new Set<Socket>();
  readonly #refused = new Set<Socket>();
  /** Unix sockets, with path and file. */
  readonly #unix: { readonly server: Server; readonly path: string; readonly file: FileId }[] = [];

  constructor(events: DoorEvents) {
    this.#events = events;
  }

  /**
   * Listens on a Unix socket for clients of `role`, with mode 0600, or 0660 and that group, or
   * `mode`. Throws SpinesError EADDRINUSE when a daemon answers there already, ECONFIG for a group
   * that is not known, EPERM for one that the socket can't be given to.
   */
  async listenUnix(
    path: string,
    group: string | null = null,
    role: ClientRole = LOCAL_ACCESS.role,
    mode: number | null = null,
  ): Promise<void> {
    const groupId = group === null ? null : groupIdOf(group);
    const fault = socketPathFault(path);
    if (fault !== null) throw new SpinesError('ENAMETOOLONG', fault);
    await removeStale(path);
    const server = await this.#listen(
      (server, done) => {
        // `listen` binds before it returns, and nothing else of this process runs between these
        // lines. So the socket has mode 0600 from the moment it exists, and there is no time in
        // which others could connect before a chmod.
        const mask = process.umask(0o177);
        try {
          server.listen({ path }, done);
        } finally {
          process.umask(mask);
        }
      },
      path,
      { ...LOCAL_ACCESS, role, from: path },
    );
    const file = fileIdOf(path);
    if (file !== null) this.#unix.push({ server, path, file });
    try {
      // In this order: with the mode first, the daemon's own group could connect until it changes.
      if (groupId !== null) lchownSync(path, -1, groupId);
      if (groupId !== null || mode !== null) chmodSync(path, mode ?? 0o660);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
      throw new SpinesError(
        code,
        group === null
          ? `can't set the mode of ${path} (${code}); choose another place`
          : `can't give ${path} to group ${group} (${code}); let the daemon's user be a member ` +
              'of that group, or leave the group out',
      );
    }
  }

  /** Listens on TCP for clients whose HELLO has a token that `tokenGrant` knows. */
  async listenTcp(
    address: string,
    port: number,
    tokenGrant: (token: string) => TokenGrant | null,
  ): Promise<void> {
    await this.#listen(
      (server, done) => server.listen({ host: address, port }, done),
      `${address}:${port}`,
      { ...LOCAL_ACCESS, tokenGrant, role: 'read-only' },
    );
  }

  /** What was written in this turn leaves. */
  flush(): void {
    for (let i = 0; i < this.#dirty.length; i += 1) this.#dirty[i]!.flush();
    this.#dirty.length = 0;
  }

  async close(): Promise<void> {
    this.flush();
    const closed = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          const unix = this.#unix.find((one) => one.server === server);
          if (unix !== undefined) closeUnix(server, unix.path, unix.file, resolve);
          else server.close(() => resolve());
        }),
    );
    for (const socket of this.#refused) socket.destroy();
    setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, LINGER_MS).unref();
    await Promise.all(closed);
  }

  async #listen(
    start: (server: Server, done: () => void) => void,
    where: string,
    access: ClientAccess,
  ): Promise<Server> {
    const silent = new Anteroom<Guest>(SILENT_MAX, (guest) => this.#giveWay(guest));
    const server = createServer({ noDelay: true }, (socket) =>
      this.#onConnection(socket, access, silent),
    );
    const another = access.tokenGrant === null ? 'place with --socket' : 'client.tcp.address';
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          new SpinesError(
            error.code ?? 'EIO',
            `can't listen for clients on ${where}: ${describeListenError(error)}; choose ` +
              `another ${another}`,
          ),
        );
      });
      start(server, resolve);
    });
    this.#servers.push(server);
    return server;
  }

  /**
   * Says why. A client that is closed at once fails at its first write, and never reads it: what it
   * says is heard for a while.
   */
  #refuse(socket: Socket, why: string, counted: boolean): void {
    this.#events.onRefused(why, counted);
    socket.on('error', () => socket.destroy());
    if (this.#refused.size >= REFUSED_MAX) {
      socket.destroy();
      return;
    }
    this.#refused.add(socket);
    socket.once('close', () => this.#refused.delete(socket));
    socket.resume();
    socket.end(encodeControl(FRAME_EVENT, { event: 'closing', code: 'EMFILE', message: why }));
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  /** Had time to say HELLO, and another one has not had it yet. */
  #giveWay({ socket, port }: Guest): void {
    this.#events.onRefused(
      `${SILENT_MAX} connections have not said HELLO yet; the oldest gave way`,
      false,
    );
    port.close();
    socket.destroy();
  }

  #onConnection(socket: Socket, way: ClientAccess, silent: Anteroom<Guest>): void {
    const access =
      way.tokenGrant === null
        ? { ...way, user: peerUser(socket) }
        : { ...way, user: null, from: `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}` };
    const port = this.#events.onClient(
      new SocketOut(socket, this.#dirty, this.#slabs, this.#lingering),
      access,
    );
    if (typeof port === 'string') {
      this.#refuse(socket, port, true);
      return;
    }
    this.#sockets.add(socket);
    const guest: Guest = { socket, port };
    silent.enter(guest, '');
    socket.on('data', (chunk) => {
      this.#events.onTurn();
      port.onBytes(chunk);
      if (port.greeted) silent.leave(guest);
      this.#events.onTurnEnd();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      silent.leave(guest);
      this.#events.onTurn();
      port.close();
      this.#events.onTurnEnd();
    });
  }
}

function describeListenError({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not write there';
  if (code === 'ENOENT') return 'there is no such folder';
  if (code === 'EADDRINUSE') return 'it is in use';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address';
  return code ?? message;
}
