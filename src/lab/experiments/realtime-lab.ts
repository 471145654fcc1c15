/**
 * A chain whose middle link loses, on which realtime links are measured beside others: who is late,
 * who never comes, and what it costs on each link.
 *
 * Owns how a run is built and what is read off it; which are run, and what becomes of the numbers,
 * is realtime-figures.ts's and the stories'. Cost is told by another run of the same flows over
 * best-effort links that lose nothing.
 */

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import {
  changeDirection,
  defaultDirection,
  type DirectionChange,
} from '../../core/emulation/link-settings.ts';
import type { Link } from '../../core/link/link.ts';
import { deadlineOf } from '../../core/wire/deadline.ts';
import { SERVICE_BEST_EFFORT, SERVICE_REALTIME } from '../../core/wire/packet.ts';
import type { DatagramOptions } from '../../core/session/sessions.ts';
import { SimFlow } from '../sim/flow.ts';
import { World, type SimHost } from '../sim/world.ts';

export interface RealtimeRun {
  /** Default: realtime. */
  readonly service?: number;
  /** Milliseconds; null: the service's default. */
  readonly deadlineMs?: number | null;
  readonly options?: DatagramOptions;
  /** What the middle link does in the direction of the data, and backwards. */
  readonly middle?: DirectionChange;
  readonly back?: DirectionChange;
  /** Default 5 links of 10 ms. */
  readonly hops?: number;
  readonly hopUs?: Micros;
  /** Flows with phases spread evenly, each of so many packets a second, and messages in all. */
  readonly flows?: number;
  readonly packetsPerSecond?: number;
  readonly count: number;
  readonly sizeBytes?: number;
  readonly seed?: number;
  readonly security?: 'sealed' | 'none';
  /** Before messages that count, so that the link knows what it loses. Default 20 s. */
  readonly warmUs?: Micros;
  /** Called once routes are right. */
  readonly onReady?: (world: World) => void;
}

export interface RealtimeOutcome {
  readonly sent: number;
  readonly delivered: number;
  readonly meanMs: number;
  /** Percent of what was sent that came later than so many milliseconds, or never. */
  lateOver(ms: number): number;
  readonly delaysUs: readonly Micros[];
  /** IP bytes by link, both directions, while messages that count were sent. */
  readonly bytes: readonly number[];
  readonly world: World;
  /** The middle link, as its sending end has it. */
  readonly link: Link;
}

const ID_BASE = 0x0a00_0001;

export function runRealtime({
  service = SERVICE_REALTIME,
  deadlineMs = null,
  options = {},
  middle = {},
  back = {},
  hops = 5,
  hopUs = 10 * MILLISECOND,
  flows = 1,
  packetsPerSecond = 62.5,
  count,
  sizeBytes = 1_000,
  seed = 1,
  security = 'sealed',
  warmUs = 20 * SECOND,
  onReady,
}: RealtimeRun): RealtimeOutcome {
  const world = new World({ seed, security });
  const hosts = chain(world, hops, hopUs, middle, back);
  const at = Math.floor(hops / 2);
  for (const host of hosts) host.start();
  world.runFor(3 * SECOND);
  onReady?.(world);
  const each = Math.ceil(count / flows),
    period = SECOND / packetsPerSecond;
  const modes: DatagramOptions = {
    ...options,
    service,
    ...(service === SERVICE_REALTIME && deadlineMs !== null ? deadlineOf(deadlineMs) : {}),
  };
  const make = (startUs: Micros, messages: number, number: number): SimFlow[] =>
    Array.from(
      { length: flows },
      (_, i) =>
        new SimFlow(
          world,
          number + i,
          hosts[0]!,
          hosts[hops]!,
          {
            packetsPerSecond,
            sizeBytes,
            startUs: Math.round(startUs + (i * period) / flows),
            durationUs: Number.MAX_SAFE_INTEGER,
            count: messages,
            options: modes,
          },
          world.now(),
        ),
    );
  make(0, Math.floor(warmUs / period), 0);
  world.runFor(warmUs);
  const before = world.wires.map(({ ipBytes }) => ipBytes);
  const measured = make(0, each, flows);
  world.runFor(Math.ceil(each * period));
  const wires = world.wires.map(({ ipBytes }, i) => ipBytes - before[i]!);
  world.runFor(3 * SECOND);
  const delaysUs = measured.flatMap(({ meter }) => meter.delays.values());
  const sent = each * flows;
  const link = hosts[at]!.node.links.of(hosts[at + 1]!.id)!;
  return {
    sent,
    delivered: delaysUs.length,
    meanMs: delaysUs.reduce((sum, us) => sum + us, 0) / Math.max(1, delaysUs.length) / MILLISECOND,
    lateOver: (ms) =>
      (100 * (sent - delaysUs.filter((us) => us <= ms * MILLISECOND).length)) / sent,
    delaysUs,
    bytes: Array.from({ length: hops }, (_, i) => wires[2 * i]! + wires[2 * i + 1]!),
    world,
    link,
  };
}

/** Hosts in a row; what its middle wire does besides is `middle` and `back`. */
function chain(
  world: World,
  hops: number,
  latencyUs: Micros,
  middle: DirectionChange,
  back: DirectionChange,
): SimHost[] {
  const hosts: SimHost[] = [];
  for (let i = 0; i <= hops; i += 1)
    hosts.push(world.addHost(ID_BASE + i, `n${i}`, { allowEmulation: true }));
  const at = Math.floor(hops / 2),
    plain = changeDirection(defaultDirection(), { latencyUs });
  for (let i = 0; i < hops; i += 1)
    world.connect(
      hosts[i]!,
      hosts[i + 1]!,
      i === at ? changeDirection(plain, middle) : plain,
      i === at ? changeDirection(plain, back) : plain,
    );
  return hosts;
}

/**
 * Percent of bytes beyond those of the same run over best-effort links that lose nothing, by link.
 */
export function extraPercent(run: RealtimeRun, outcome: RealtimeOutcome): number[] {
  const { options: _options, onReady: _onReady, ...plain } = run;
  const base = runRealtime({
    ...plain,
    middle: {},
    back: {},
    service: SERVICE_BEST_EFFORT,
    warmUs: SECOND,
  });
  return outcome.bytes.map((bytes, i) => 100 * (bytes / base.bytes[i]! - 1));
}
