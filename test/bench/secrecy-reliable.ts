/**
 * What sealing from end to end costs where hops recover: reliable datagrams and streams between two
 * whole daemons in virtual time, with the primitives of this machine. With secrecy `links` and
 * `end-to-end`, turn about.
 *
 * Acknowledgements, pacing and timers belong to it, so only the CPU time of both ends together is
 * told; what the simulator adds to each datagram is in it, alike for both.
 */

import { availablePrimitives } from '#src/host/primitives/choose-primitives.js';
import { changeDirection, defaultDirection } from '#src/core/emulation/link-settings.js';
import type { Secrecy } from '#src/core/session/secrecy.js';
import type { Stream, StreamOwner } from '#src/core/session/stream.js';
import { SERVICE_RELIABLE } from '#src/core/wire/packet.js';
import { World, type SimHost } from '#src/lab/sim/world.js';
import { FIRST_ID } from './identities.js';
import { collect, cpuUs, median, printTable, spread } from './processes.js';
import type { Results } from './results.js';

const primitives = availablePrimitives()[0]!.primitives;
const SIZES = [100, 1_000, 1_370] as const;
const PORT = 7,
  STREAM_PORT = 8;
/** Messages of a measurement, and of one turn; bytes of a stream, and of one write. */
const MESSAGES = 6_000,
  TURN = 16,
  STREAM_BYTES = 8_000_000,
  CHUNK = 16_384;
const WARM_UP = 2;
const SECOND_US = 1_000_000,
  STEP_US = 100,
  LATENCY_US = 100;

/** Microseconds of CPU time of both ends, one value a round: of a message, or of 1,000 bytes. */
export type ReliableFigures = readonly {
  readonly what: string;
  readonly links: number[];
  readonly endToEnd: number[];
}[];

/** Two daemons over one wire that loses nothing. */
class Ends {
  readonly #world: World;
  readonly #hosts: readonly [SimHost, SimHost];
  #heard = 0;
  #read = 0;

  constructor(secrecy: Secrecy) {
    this.#world = new World({ seed: 1, primitives });
    const host = (i: number): SimHost =>
      this.#world.addHost(FIRST_ID + i, `bench-${i}`, { secrecy });
    this.#hosts = [host(0), host(1)];
    const [first, second] = this.#hosts;
    const wire = changeDirection(defaultDirection(), { latencyUs: LATENCY_US });
    this.#world.connect(first, second, wire, wire);
    for (const each of this.#hosts) each.start();
    this.#world.runFor(2 * SECOND_US);
    if (first.node.router.nextHop(second.id) === null)
      throw new Error('the bench has no route in virtual time');
    const { sessions, streams } = second.node;
    const owner = {
      onMessage: () => {
        this.#heard += 1;
        return true;
      },
      onWritable: () => {},
    };
    sessions.bind(sessions.open(owner, { service: SERVICE_RELIABLE }), PORT);
    streams.listen(STREAM_PORT, 1, (port) => ({ port, onAccept: () => this.#reader() }));
  }

  #reader(): StreamOwner {
    return {
      onOpen() {},
      onSpace() {},
      onClosed() {},
      onReadable: (stream) => {
        while (stream.receiver.readyBytes > 0) {
          const { length } = stream.front();
          this.#read += length;
          stream.take(length);
        }
        if (stream.readEnded) {
          stream.onTaken();
          stream.end();
        }
      },
    };
  }

  /** Of a message of so many bytes. */
  datagrams(bytes: number): number {
    const [first, second] = this.#hosts,
      { sessions } = first.node,
      payload = new Uint8Array(bytes);
    const session = sessions.open(
      { onMessage: () => true, onWritable: () => {} },
      { service: SERVICE_RELIABLE },
    );
    collect();
    const wanted = this.#heard + MESSAGES,
      began = cpuUs();
    for (let sent = 0; sent < MESSAGES; ) {
      for (let i = 0; i < TURN && sent < MESSAGES && !session.blocked; i += 1, sent += 1)
        sessions.send(session, second.id, PORT, payload, 0, bytes);
      first.endTurn();
      this.#world.runFor(STEP_US);
    }
    this.#until('messages', () => this.#heard >= wanted);
    const took = cpuUs() - began;
    sessions.close(session);
    return took / MESSAGES;
  }

  /** Of 1,000 bytes of a stream. */
  stream(): number {
    const [first, second] = this.#hosts,
      chunk = new Uint8Array(CHUNK);
    let written = 0;
    const write = (stream: Stream): void => {
      while (written < STREAM_BYTES) {
        const taken = stream.write(chunk, 0, Math.min(CHUNK, STREAM_BYTES - written, stream.space));
        if (taken === 0) return;
        written += taken;
      }
      stream.end();
    };
    collect();
    const wanted = this.#read + STREAM_BYTES,
      began = cpuUs();
    first.node.streams.connect(
      second.id,
      STREAM_PORT,
      0,
      { onOpen: write, onSpace: write, onReadable() {}, onClosed() {} },
      { service: SERVICE_RELIABLE, dissemination: 0, ttl: 64, priority: 1 },
    );
    first.endTurn();
    this.#until('bytes', () => this.#read >= wanted);
    const took = cpuUs() - began;
    this.#world.runFor(SECOND_US / 10);
    return took / (STREAM_BYTES / 1_000);
  }

  #until(what: string, come: () => boolean): void {
    for (let i = 0; !come(); i += 1) {
      if (i > 100_000) throw new Error(`the bench lost ${what} in virtual time`);
      this.#world.runFor(STEP_US);
    }
  }
}

export function measureReliable(rounds: number): ReliableFigures {
  const ends = { links: new Ends('links'), endToEnd: new Ends('end-to-end') };
  const rows = [
    ...SIZES.map((bytes) => ({
      what: `reliable, ${bytes} B`,
      measure: (of: Ends) => of.datagrams(bytes),
    })),
    { what: 'stream, 1,000 B of it', measure: (of: Ends) => of.stream() },
  ].map((row) => ({ ...row, links: [] as number[], endToEnd: [] as number[] }));
  for (let round = -WARM_UP; round < rounds; round += 1)
    for (const row of rows)
      for (const which of ['links', 'endToEnd'] as const) {
        const took = row.measure(ends[which]);
        if (round >= 0) row[which].push(took);
      }
  return rows.map(({ what, links, endToEnd }) => ({ what, links, endToEnd }));
}

export function recordReliable(figures: ReliableFigures, results: Results): void {
  for (const { what, links, endToEnd } of figures) {
    results.add(`secrecy/${what}/links`, 'us', ...links);
    results.add(`secrecy/${what}/end-to-end`, 'us', ...endToEnd);
  }
}

export function printReliable(figures: ReliableFigures): void {
  const rows: string[][] = [['sealed links', 'both us', 'spread', 'times links']];
  for (const { what, links, endToEnd } of figures)
    for (const [name, sums] of [
      ['links', links],
      ['end-to-end', endToEnd],
    ] as const)
      rows.push([
        `${what}, secrecy ${name}`,
        median(sums).toFixed(2),
        spread(sums),
        (median(sums) / median(links)).toFixed(2),
      ]);
  console.log(
    '\nThe same over reliable links, acknowledgements, pacing and what the simulator takes ' +
      'included:',
  );
  printTable(rows, 1);
}
