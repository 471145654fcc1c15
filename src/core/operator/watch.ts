/**
 * Programs that watch a daemon: what happens is told to each that asked for such things.
 *
 * Owns who watches what, and the clock of the looks: ten times a second what is is compared with
 * what was (link-looks.ts and the others), which are state that the daemon keeps anyway, so that
 * nothing is noted down, and nothing is done, while nobody watches. Only sockets of programs are
 * told as they come and go. Bounded: one subscription for each connected program (and what the
 * daemon's own doors bound), and a program that does not read is told how many events it missed
 * once it does.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Micros } from '../base/time.ts';
import type { Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import type { SocketsListener } from '../ipc/sockets-watch.ts';
import { disseminationName, serviceName } from '../wire/modes.ts';
import {
  WATCH_KINDS,
  type Happened,
  type WatchEvent,
  type WatchKind,
} from 'spines-client/protocol';
import { IdentityLook } from './identity-looks.ts';
import { LinkLook } from './link-looks.ts';
import type { Look } from './look.ts';
import type { Operator } from './operation.ts';
import { ConvictionLook, NodeLook, RouteLook } from './route-looks.ts';

export const WATCH_INTERVAL: Micros = 100 * MILLISECOND;
/** What changes slowly is looked at once in so many. */
const SLOWLY = 10;

/** What looks at each kind; several may share one. `slow`: once a second is enough. */
const LOOKS: readonly {
  readonly kinds: readonly WatchKind[];
  readonly slow: boolean;
  readonly make: (operator: Operator) => Look;
}[] = [
  { kinds: ['link', 'size'], slow: false, make: (operator) => new LinkLook(operator) },
  { kinds: ['route'], slow: false, make: (operator) => new RouteLook(operator) },
  { kinds: ['node'], slow: false, make: (operator) => new NodeLook(operator) },
  { kinds: ['conviction'], slow: false, make: (operator) => new ConvictionLook(operator) },
  {
    kinds: ['certificate', 'clock', 'clone', 'log'],
    slow: true,
    make: (operator) => new IdentityLook(operator),
  },
];

interface Subscriber {
  /** Null: the daemon itself, for one of its doors. */
  readonly client: ConnectedClient | null;
  readonly kinds: ReadonlySet<WatchKind>;
  /** False: it does not read. */
  tell(seen: WatchEvent): boolean;
  missed: number;
}

export class Watch {
  /** By the program, or, for the daemon's own doors, by themselves. */
  readonly #subscribers = new Map<object, Subscriber>();
  readonly #looks = new Map<(typeof LOOKS)[number], Look>();
  readonly #timer = new Timer(() => this.#tick());
  #operator: Operator | null = null;
  #ticks = 0;

  /** Programs that watch now. */
  get size(): number {
    return this.#subscribers.size;
  }

  /** From now on `client` is told of what `args.kinds` names, and of nothing else. */
  subscribe(
    operator: Operator,
    args: Arguments,
    client: ConnectedClient | null,
  ): { kinds: WatchKind[] } {
    const kinds = kindsOf(args['kinds']);
    if (client === null)
      throw new SpinesError('EINVAL', 'only a connected program can watch; connect one');
    const missed = this.#subscribers.get(client)?.missed ?? 0;
    this.#subscribers.delete(client);
    const tell = (seen: WatchEvent): boolean => client.tell({ event: 'watch', seen });
    if (kinds.length > 0)
      this.#subscribers.set(client, { client, kinds: new Set(kinds), tell, missed });
    this.#begin(operator);
    return { kinds };
  }

  follow(operator: Operator, tell: (seen: WatchEvent) => void): () => void {
    const follower: Subscriber = {
      client: null,
      kinds: new Set(WATCH_KINDS),
      tell: (seen) => {
        tell(seen);
        return true;
      },
      missed: 0,
    };
    this.#subscribers.set(follower, follower);
    this.#begin(operator);
    return () => {
      this.#subscribers.delete(follower);
      this.#look();
    };
  }

  #begin(operator: Operator): void {
    this.#operator = operator;
    this.#look();
    if (!this.#timer.armed && this.#subscribers.size > 0) this.#arm();
  }

  #arm(): void {
    const { timers, clock } = this.#operator!.env;
    timers.arm(this.#timer, clock.now() + WATCH_INTERVAL);
  }

  /** Looks at what somebody watches, and at nothing else. */
  #look(): void {
    const operator = this.#operator!;
    const connected: ReadonlySet<ConnectedClient> = operator.clients;
    for (const [key, { client }] of this.#subscribers)
      if (client !== null && !connected.has(client)) this.#subscribers.delete(key);
    for (const one of LOOKS) {
      if (!one.kinds.some((kind) => this.#wanted(kind))) this.#looks.delete(one);
      else if (!this.#looks.has(one)) this.#looks.set(one, one.make(operator));
    }
    operator.node.socketsWatch.listener = this.#wanted('session') ? this.#sockets : null;
  }

  #wanted(kind: WatchKind): boolean {
    for (const { kinds } of this.#subscribers.values()) if (kinds.has(kind)) return true;
    return false;
  }

  #tick(): void {
    this.#look();
    if (this.#subscribers.size === 0) return;
    this.#ticks += 1;
    for (const subscriber of this.#subscribers.values()) this.#tellMissed(subscriber);
    for (const [{ slow }, look] of this.#looks)
      if (!slow || this.#ticks % SLOWLY === 0)
        look.look((happened, at) => this.#tell(happened, at));
    this.#arm();
  }

  #tell(happened: Happened, at: Micros): void {
    const { wall, clock } = this.#operator!.env;
    const seen: WatchEvent = {
      at: Math.round((wall.now() - (clock.now() - at)) / MILLISECOND),
      ...happened,
    };
    for (const subscriber of this.#subscribers.values()) {
      if (!subscriber.kinds.has(happened.kind)) continue;
      const told = this.#tellMissed(subscriber) && subscriber.tell(seen);
      if (!told) subscriber.missed += 1;
    }
  }

  /** False: it still does not read. */
  #tellMissed(subscriber: Subscriber): boolean {
    const { missed } = subscriber;
    if (missed === 0) return true;
    const at = Math.round(this.#operator!.env.wall.now() / MILLISECOND);
    const told = subscriber.tell({ at, kind: 'missed', count: missed });
    if (told) subscriber.missed = 0;
    return told;
  }

  readonly #sockets: SocketsListener = {
    onStream: (client, { stream, port, options }, closed, code) => {
      const { node } = this.#operator!;
      this.#tell(
        {
          kind: 'session',
          what: closed ? 'closed' : 'opened',
          socket: stream === null ? 'listener' : 'stream',
          ...programOf(client),
          port,
          node: stream === null ? null : formatNodeId(stream.node),
          name: stream === null ? null : node.router.nameOf(stream.node),
          remotePort: stream?.port ?? null,
          link: serviceName(options.service),
          routing: disseminationName(options.dissemination),
          sent: stream?.sender.unacknowledged ?? 0,
          received: stream?.receiver.received ?? 0,
          code,
        },
        this.#operator!.env.clock.now(),
      );
    },
    onDatagram: (client, session, closed) =>
      this.#tell(
        {
          kind: 'session',
          what: closed ? 'closed' : 'opened',
          socket: 'datagram',
          ...programOf(client),
          port: session.port,
          node: null,
          name: null,
          remotePort: null,
          link: serviceName(session.service),
          routing: disseminationName(session.dissemination),
          sent: session.sent,
          received: session.received,
          code: null,
        },
        this.#operator!.env.clock.now(),
      ),
  };
}

function programOf({ asker: { program, certificate } }: ConnectedClient): {
  program: string;
  certificate: string | null;
} {
  return { program, certificate };
}

/** Throws SpinesError EINVAL. */
function kindsOf(value: unknown): WatchKind[] {
  const many = !Array.isArray(value) || value.length > WATCH_KINDS.length;
  const kinds: unknown[] = many ? [null] : value;
  return kinds.map((kind) => {
    const known = WATCH_KINDS.find((one) => one === kind);
    if (known === undefined)
      throw new SpinesError('EINVAL', `kinds must be a list of some of ${WATCH_KINDS.join(', ')}`);
    return known;
  });
}
