/**
 * What sealing from end to end costs the two ends of a packet on sealed links: whole daemons in
 * virtual time with the primitives of this machine, from a program's message to the sink, and from
 * a datagram's arrival to the program. With secrecy `links` and `end-to-end`, turn about; CPU time,
 * of the collector's threads too. A router between does the same for both (cost.ts).
 */

import { availablePrimitives } from '#src/host/primitives/choose-primitives.js';
import { defaultDirection } from '#src/core/emulation/link-settings.js';
import type { Secrecy } from '#src/core/session/secrecy.js';
import { World, type SimHost } from '#src/lab/sim/world.js';
import { FIRST_ID } from './identities.js';
import { collect, cpuUs, median, printTable, spread } from './processes.js';
import type { Results } from './results.js';

const primitives = availablePrimitives()[0]!.primitives;
const SIZES = [100, 1_000, 1_370, 1_400] as const;
const PORT = 7;
/** Messages of a measurement, those of them that only warm up, and those of one turn. */
const MESSAGES = 8_000,
  UNTIMED = 2_000,
  TURN = 16;
const WARM_UP = 2;
const SECOND_US = 1_000_000;

interface Ends {
  readonly source: number[];
  readonly destination: number[];
}
/** Microseconds of CPU time per message, one value a round. */
export type SecrecyFigures = readonly {
  readonly bytes: number;
  readonly links: Ends;
  readonly endToEnd: Ends;
}[];

/** Two daemons; the second is fed what the first sent. */
class Pair {
  readonly #world: World;
  readonly #hosts: readonly [SimHost, SimHost];
  readonly #send: (payload: Uint8Array) => void;
  #captured: Uint8Array[] | null = null;
  #heard = 0;

  constructor(secrecy: Secrecy) {
    this.#world = new World({
      seed: 1,
      primitives,
      onArrival: (wire, bytes) => {
        if (this.#captured === null || wire.to !== this.#hosts[1]) return true;
        this.#captured.push(bytes);
        return false;
      },
    });
    const host = (i: number): SimHost =>
      this.#world.addHost(FIRST_ID + i, `bench-${i}`, { secrecy });
    this.#hosts = [host(0), host(1)];
    const [first, second] = this.#hosts;
    this.#world.connect(first, second, defaultDirection(), defaultDirection());
    for (const each of this.#hosts) each.start();
    this.#world.runFor(2 * SECOND_US);
    if (first.node.router.nextHop(second.id) === null)
      throw new Error('the bench has no route in virtual time');
    const { sessions } = first.node,
      there = second.node.sessions;
    there.bind(
      there.open({
        onMessage: () => {
          this.#heard += 1;
          return true;
        },
        onWritable: () => {},
      }),
      PORT,
    );
    const session = sessions.open({ onMessage: () => true, onWritable: () => {} });
    this.#send = (payload) => {
      sessions.send(session, second.id, PORT, payload, 0, payload.length);
    };
  }

  measure(bytes: number): { source: number; destination: number } {
    const [first, second] = this.#hosts,
      payload = new Uint8Array(bytes),
      captured: Uint8Array[] = [];
    this.#captured = captured;
    collect();
    let began = 0;
    for (let i = 0; i < MESSAGES; i += 1) {
      if (i === UNTIMED) began = cpuUs();
      this.#send(payload);
      if (i % TURN === TURN - 1) first.endTurn();
    }
    const source = (cpuUs() - began) / (MESSAGES - UNTIMED);
    this.#world.runFor(0);
    this.#captured = null;
    collect();
    const heard = this.#heard,
      untimed = Math.floor((captured.length * UNTIMED) / MESSAGES);
    for (let i = 0; i < captured.length; i += 1) {
      if (i === untimed) began = cpuUs();
      second.node.onDatagram(captured[i]!, captured[i]!.length, first.endpoint);
      if (i % TURN === TURN - 1) second.node.flush();
    }
    second.node.flush();
    const destination = (cpuUs() - began) / (MESSAGES - UNTIMED);
    if (this.#heard - heard !== MESSAGES)
      throw new Error(`the bench lost ${MESSAGES - this.#heard + heard} messages in virtual time`);
    this.#world.runFor(SECOND_US / 10);
    return { source, destination };
  }
}

export function measureSecrecy(rounds: number): SecrecyFigures {
  const pairs = { links: new Pair('links'), endToEnd: new Pair('end-to-end') };
  const figures = SIZES.map((bytes) => ({
    bytes,
    links: { source: [] as number[], destination: [] as number[] },
    endToEnd: { source: [] as number[], destination: [] as number[] },
  }));
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const row of figures) {
      for (const which of ['links', 'endToEnd'] as const) {
        const { source, destination } = pairs[which].measure(row.bytes);
        if (round < 0) continue;
        row[which].source.push(source);
        row[which].destination.push(destination);
      }
    }
  }
  return figures;
}

function both({ source, destination }: Ends): number[] {
  return source.map((us, i) => us + destination[i]!);
}

export function recordSecrecy(figures: SecrecyFigures, results: Results): void {
  for (const { bytes, links, endToEnd } of figures) {
    results.add(`secrecy/${bytes} B/links`, 'us', ...both(links));
    results.add(`secrecy/${bytes} B/end-to-end`, 'us', ...both(endToEnd));
  }
}

export function printSecrecy(figures: SecrecyFigures): void {
  const rows: string[][] = [
    [
      'a message, best effort, sealed links',
      'source us',
      'destination us',
      'both us',
      'spread',
      'times links',
    ],
  ];
  for (const { bytes, links, endToEnd } of figures) {
    for (const [name, ends] of [
      ['links', links],
      ['end-to-end', endToEnd],
    ] as const) {
      const sum = both(ends);
      rows.push([
        `${bytes} B, secrecy ${name}`,
        median(ends.source).toFixed(2),
        median(ends.destination).toFixed(2),
        median(sum).toFixed(2),
        spread(sum),
        (median(sum) / median(both(links))).toFixed(2),
      ]);
    }
  }
  console.log(
    `\nCPU microseconds that the two ends of a message spend, sealed by ${primitives.name}; from ` +
      '1,373 bytes on it is two packets end to end (goal for one packet: at most 1.35 times ' +
      'links):',
  );
  printTable(rows, 1);
}
