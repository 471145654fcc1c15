/**
 * Where the time of a sealed packet in transit goes: its parts, measured with the daemon's own
 * classes, beside the whole.
 *
 * open and seal are a Sealer's alone; "the node" is a SpinesNode whose links are not sealed, from
 * onDatagram to the sink (header, replay check, frames, route, copy); UDP is the bare forwarder of
 * the same run, and one that forwards by the daemon's UdpSink. The sealed SpinesNode is measured
 * too: what it takes should be near the sum of the first three. All of it is CPU time, of the
 * collector's threads too.
 */

import { availablePrimitives } from '#src/host/primitives/choose-primitives.js';
import { secureRandom } from '#src/host/primitives/secure-random.js';
import { defaultDirection } from '#src/core/emulation/link-settings.js';
import { World, type SimHost } from '#src/lab/sim/world.js';
import { Firewall } from '#src/core/session/firewall.js';
import { NO_RULES } from '#src/core/session/rules.js';
import { Packet } from '#src/core/wire/packet.js';
import {
  DATAGRAM_HEADER_BYTES,
  FRAME_HEAD_BYTES,
  OVERLAY_HEADER_BYTES,
  TAG_BYTES,
} from '#src/core/wire/sizes.js';
import { FIRST_ID } from './identities.js';
import { collect, cpuUs, median, printTable, spread } from './processes.js';
import type { Results } from './results.js';
import type { TransitFigures } from './transit.js';

/** What a daemon on this machine takes. */
const primitives = availablePrimitives()[0]!.primitives;
const PAYLOAD_BYTES = 1_000;
const BODY_END = DATAGRAM_HEADER_BYTES + FRAME_HEAD_BYTES + OVERLAY_HEADER_BYTES + PAYLOAD_BYTES;
const PORT = 7;
/** Datagrams of a measurement, those of them that only warm up, and those of one turn. */
const DATAGRAMS = 8_000,
  UNTIMED = 2_000,
  TURN = 16;
const WARM_UP = 3;

/** Microseconds of CPU time per packet, one value a round. */
export interface CostFigures {
  readonly open: number[];
  readonly seal: number[];
  readonly node: number[];
  readonly sealedNode: number[];
  readonly rules: number[];
  readonly rulesMissed: number[];
}

const SECOND_US = 1_000_000;

/** Three daemons in a row in virtual time; the middle one is fed what the first sent, and timed. */
class TransitNode {
  readonly #world: World;
  readonly #hosts: readonly [SimHost, SimHost, SimHost];
  readonly #send: () => void;
  #captured: Uint8Array[] | null = null;

  constructor(security: 'sealed' | 'none') {
    this.#world = new World({
      seed: 1,
      security,
      primitives,
      onArrival: (wire, bytes) => {
        if (
          this.#captured === null ||
          wire.to !== this.#hosts[1] ||
          wire.from !== this.#hosts[0] ||
          bytes.length < PAYLOAD_BYTES
        )
          return true;
        this.#captured.push(bytes);
        return false;
      },
    });
    const host = (i: number): SimHost => this.#world.addHost(FIRST_ID + i, `bench-${i}`);
    this.#hosts = [host(0), host(1), host(2)];
    const [first, middle, last] = this.#hosts;
    this.#world.connect(first, middle, defaultDirection(), defaultDirection());
    this.#world.connect(middle, last, defaultDirection(), defaultDirection());
    for (const each of this.#hosts) each.start();
    this.#world.runFor(2 * SECOND_US);
    if (first.node.router.nextHop(last.id) === null)
      throw new Error('the bench has no route in virtual time');
    const { sessions } = first.node;
    const session = sessions.open({ onMessage: () => true, onWritable: () => {} });
    const payload = new Uint8Array(PAYLOAD_BYTES);
    this.#send = () => {
      sessions.send(session, last.id, PORT, payload, 0, payload.length);
      first.endTurn();
    };
  }

  /** Microseconds from a datagram's arrival until the sink has it. */
  measure(): number {
    const [first, { node, wires }] = this.#hosts;
    const captured: Uint8Array[] = [];
    this.#captured = captured;
    for (let i = 0; i < DATAGRAMS; i += 1) this.#send();
    this.#world.runFor(0);
    this.#captured = null;
    const forwarded = node.dissemination.forwarded;
    // Without its wires the host's sink drops what it is given.
    const kept = [...wires];
    wires.clear();
    collect();
    let began = 0;
    for (let i = 0; i < captured.length; i += 1) {
      if (i === UNTIMED) began = cpuUs();
      const bytes = captured[i]!;
      node.onDatagram(bytes, bytes.length, first.endpoint);
      if (i % TURN === TURN - 1) node.flush();
    }
    node.flush();
    const us = (cpuUs() - began) / (captured.length - UNTIMED);
    for (const [key, wire] of kept) wires.set(key, wire);
    if (node.dissemination.forwarded - forwarded !== DATAGRAMS)
      throw new Error('the bench lost packets in virtual time');
    this.#world.runFor(SECOND_US / 10);
    return us;
  }
}

function measureSealer(): { open: number; seal: number } {
  const key = new Uint8Array(32);
  secureRandom.fill(key);
  const sealer = primitives.sealer(key);
  const datagrams = Array.from({ length: DATAGRAMS }, () => new Uint8Array(BODY_END + TAG_BYTES));
  const each = (action: (bytes: Uint8Array, number: number) => void): number => {
    collect();
    let began = 0;
    for (let i = 0; i < DATAGRAMS; i += 1) {
      if (i === UNTIMED) began = cpuUs();
      action(datagrams[i]!, i);
    }
    return (cpuUs() - began) / (DATAGRAMS - UNTIMED);
  };
  const seal = each((bytes, number) => sealer.seal(number, bytes, DATAGRAM_HEADER_BYTES, BODY_END));
  const open = each((bytes, number) => {
    if (!sealer.open(number, bytes, DATAGRAM_HEADER_BYTES, BODY_END + TAG_BYTES))
      throw new Error('a seal of the bench is broken');
  });
  return { seal, open };
}

/** Packets of a measurement of rules, which are short. */
const JUDGED = 2_000_000;
const RULES = 10_000,
  SOURCES = 64;

/**
 * What judging a packet costs by 10,000 rules: of sources that were judged before, and of sources
 * that never were.
 */
function measureRules(): { rules: number; rulesMissed: number } {
  const names = Array.from({ length: SOURCES }, (_, i) => ({
    name: `node-${i}`,
    groups: ['ops', 'video'],
  }));
  const firewall = new Firewall(
    { self: 1, namesVersion: () => 0, namesOf: (node) => names[node % SOURCES]! },
    {
      ...NO_RULES,
      inbound: Array.from({ length: RULES }, (_, i) => ({
        action: 'allow' as const,
        nodes: i % 3 === 0 ? [`node-${i}`] : [],
        groups: i % 3 === 1 ? ['ops'] : [],
        ports: [{ first: 1 + i, last: 1 + i + (i % 7) }],
        kind: null,
        service: null,
        dissemination: null,
      })),
    },
  );
  const packet = new Packet();
  packet.destinationPort = 9_999;
  const each = (sourceOf: (i: number) => number): number => {
    collect();
    let began = 0;
    for (let i = 0; i < JUDGED; i += 1) {
      if (i === JUDGED / 4) began = cpuUs();
      packet.source = sourceOf(i);
      if (!firewall.admits(packet, false)) throw new Error('a rule of the bench refuses');
    }
    return (cpuUs() - began) / (JUDGED * 0.75);
  };
  return { rules: each((i) => 1_000 + (i % SOURCES)), rulesMissed: each((i) => 1_000_000 + i) };
}

export function measureCost(rounds: number): CostFigures {
  const figures: CostFigures = {
    open: [],
    seal: [],
    node: [],
    sealedNode: [],
    rules: [],
    rulesMissed: [],
  };
  const unsealed = new TransitNode('none'),
    sealed = new TransitNode('sealed');
  for (let round = -WARM_UP; round < 2 * rounds; round += 1) {
    const { open, seal } = measureSealer();
    const [node, sealedNode] = [unsealed.measure(), sealed.measure()];
    if (round < 0) continue;
    figures.open.push(open);
    figures.seal.push(seal);
    figures.node.push(node);
    figures.sealedNode.push(sealedNode);
    const { rules, rulesMissed } = measureRules();
    figures.rules.push(rules);
    figures.rulesMissed.push(rulesMissed);
  }
  return figures;
}

export function recordCost(figures: CostFigures, results: Results): void {
  for (const [part, us] of Object.entries(figures) as [string, readonly number[]][])
    results.add(`cost/${part}`, 'us', ...us);
}

export function printCost(
  { open, seal, node, sealedNode, rules, rulesMissed }: CostFigures,
  { bareCpuUs, udpCpuUs, unsealedCpuUs, sealedCpuUs }: TransitFigures,
): void {
  const rows: string[][] = [
    [`where the time goes: sealed transit, ${PAYLOAD_BYTES} B`, 'CPU us/packet', 'spread', 'share'],
  ];
  const add = (name: string, us: number, all: readonly number[] | null = null): void => {
    rows.push([
      name,
      us.toFixed(2),
      all === null ? '' : spread(all),
      `${((100 * us) / sealedCpuUs).toFixed(0)} %`,
    ]);
  };
  const parts = median(open) + median(seal) + median(node) + udpCpuUs;
  add(`open (${primitives.name})`, median(open), open);
  add(`seal (${primitives.name})`, median(seal), seal);
  add('header, replay check, frames, route, copy', median(node), node);
  add('UDP receive and send (bare forwarder)', bareCpuUs);
  add("what the daemon's UDP sockets add: addresses, a copy", udpCpuUs - bareCpuUs);
  add('  these parts together', parts);
  add('  not in the parts: turns, clock, timers, collector, caches', sealedCpuUs - parts);
  add('  transit sealed, as measured', sealedCpuUs);
  add('to compare: the sealed node without UDP', median(sealedNode), sealedNode);
  add('to compare: sealed less unsealed transit', sealedCpuUs - unsealedCpuUs);
  console.log(
    '\nParts of what a sealed transit daemon spends on a packet over plain dgram, best effort, ' +
      'each measured by itself, beside the whole as measured above. CPU microseconds:',
  );
  // Of a packet that is delivered where the rules are; more digits, as that is little.
  const judged = (name: string, all: readonly number[]): void => {
    rows.push([
      name,
      median(all).toFixed(4),
      spread(all),
      `${((100 * median(all)) / median(sealedNode)).toFixed(2)} % of the node`,
    ]);
  };
  judged(`${RULES} rules, verdict kept (${SOURCES} sources)`, rules);
  judged(`${RULES} rules, source never seen`, rulesMissed);
  printTable(rows, 1);
}
