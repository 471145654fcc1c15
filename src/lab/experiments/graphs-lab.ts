/**
 * Problems of a network whose flows go several ways: what is in time and what it costs, by way,
 * while a node's links lose.
 *
 * Owns one run: a world of a topology, whose flows all take one way, one problem in it, and counts
 * before, at first, and after that. Which are run, and what becomes of the numbers, is
 * graphs-figures.ts's. Links are best effort; nothing is mended.
 */

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import type { LossModel } from '../../core/emulation/link-settings.ts';
import { deadlineOf } from '../../core/wire/deadline.ts';
import { disseminationCode, GRAPH_NAMES, type GraphName } from '../../core/wire/modes.ts';
import type { DatagramOptions } from '../../core/session/sessions.ts';
import { buildWorld, converge } from '../replay/run-virtual.ts';
import { SimFlow } from '../sim/flow.ts';
import type { SimHost, World } from '../sim/world.ts';
import type { Topology } from '../topology/topology.ts';

export const DEADLINE_MS = 65;

export type WayName = 'one path' | Exclude<GraphName, 'auto'> | 'auto';
/** One shortest path is that of link state, which goes around problems too. */
export const WAYS: readonly WayName[] = ['one path', ...GRAPH_NAMES.slice(1), 'auto'];

/** Which links lose, by the indices of their wires, and how. */
export interface Problem {
  readonly wires: readonly number[];
  readonly loss: LossModel;
}

export interface GraphsRun {
  readonly topology: Topology;
  readonly way: WayName;
  /** Indices of those that are sent; each takes `packetsPerSecond`. */
  readonly flows: readonly number[];
  readonly packetsPerSecond: number;
  readonly problem: Problem | null;
  readonly seed: number;
  /** How long each part is: the beginning of the problem, the rest of it, and what follows. */
  readonly partsUs: readonly [Micros, Micros, Micros];
}

/** Of one part, all flows together. */
export interface PartCount {
  readonly sent: number;
  readonly inTime: number;
  /** Copies on links, a message. */
  readonly cost: number;
}

/** Before anything is counted routes, choices and estimates are quiet for so long. */
const QUIET: Micros = 3 * SECOND;
const NOTHING: LossModel = { kind: 'bernoulli', rate: 0 };

export function runGraphs(run: GraphsRun): PartCount[] {
  const world = buildWorld({ ...run.topology, seed: run.seed, security: 'none' });
  for (const host of world.hosts) host.start();
  world.runFor(50 * MILLISECOND);
  converge(world, run.topology, 30 * SECOND);
  const options = optionsOf(run.way);
  let number = 0;
  const send = (durationUs: Micros): PartCount => {
    const before = copies(world, run.way);
    const flows = run.flows.map((index) => {
      const { from, to } = run.topology.flows[index]!;
      number += 1;
      return new SimFlow(
        world,
        number,
        world.hosts[from]!,
        world.hosts[to]!,
        {
          packetsPerSecond: run.packetsPerSecond,
          sizeBytes: 200,
          startUs: (number % 10) * MILLISECOND,
          durationUs,
          count: null,
          options,
        },
        world.now(),
      );
    });
    world.runFor(durationUs);
    // What is under way counts for the part that it began in.
    pending.push({ flows, cost: copies(world, run.way) - before });
    return { sent: 0, inTime: 0, cost: 0 };
  };
  const pending: { flows: SimFlow[]; cost: number }[] = [];
  send(QUIET);
  set(world, run.problem, run.problem?.loss ?? NOTHING);
  send(run.partsUs[0]);
  send(run.partsUs[1]);
  set(world, run.problem, NOTHING);
  send(run.partsUs[2]);
  world.runFor(SECOND);
  return pending.slice(1).map(({ flows, cost }) => counted(flows, cost));
}

function counted(flows: readonly SimFlow[], cost: number): PartCount {
  const sent = flows.reduce((sum, flow) => sum + flow.sent, 0);
  let inTime = 0;
  for (const { meter } of flows)
    for (const delay of meter.delays.values()) if (delay <= DEADLINE_MS * MILLISECOND) inTime += 1;
  return { sent, inTime, cost: cost / Math.max(1, sent) };
}

function optionsOf(way: WayName): DatagramOptions {
  return way === 'one path'
    ? {}
    : { dissemination: disseminationCode('graph'), graph: way, ...deadlineOf(DEADLINE_MS) };
}

/** Taken by links until now: of graphs all of them, of one path what was sent and passed on. */
function copies({ hosts }: World, way: WayName): number {
  return hosts.reduce(
    (sum, { node }: SimHost) =>
      sum +
      (way === 'one path'
        ? node.dissemination.originated + node.dissemination.forwarded
        : node.routed!.copies),
    0,
  );
}

function set(world: World, problem: Problem | null, loss: LossModel): void {
  for (const wire of problem?.wires ?? []) world.wires[wire]!.model.set({ loss });
}
