/**
 * How messages of a session travel: as it says, or, over realtime links, as each of them does.
 *
 * Owns the choice of the link service where somebody on the way is older, and what redundancy means
 * to a packet. Called by sessions.ts. `@hot` for sessions of other services, which are their own
 * modes.
 */

import { isNodeId, type NodeId } from '../base/ids.ts';
import { deadlineUs } from '../wire/deadline.ts';
import { carriesGraph, type GraphName } from '../wire/modes.ts';
import {
  DISSEMINATION_GRAPH,
  DISSEMINATION_LINK_STATE,
  isOver,
  PRECIOUS_PRIORITY,
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  type Packet,
  type PacketModes,
} from '../wire/packet.ts';
import type { DatagramSession, MessageOptions } from './datagram-session.ts';

/** Whether every node on the way to `destination` knows the realtime service. */
export type RealtimeTo = (destination: NodeId, dissemination: number) => boolean;

/** Whether there is a way to `destination` over nodes that know packets with graphs. */
export type PathsTo = (destination: NodeId, paths: number) => boolean;

export class MessageModes {
  readonly #realtimeTo: RealtimeTo;
  readonly #pathsTo: PathsTo;
  readonly #modes = {
    service: 0,
    dissemination: 0,
    ttl: 0,
    priority: 0,
    deadline: 0,
    spentUs: 0,
    paths: 0,
    graph: 'auto' as GraphName,
    withinUs: 0,
  };

  constructor(realtimeTo: RealtimeTo, pathsTo: PathsTo) {
    this.#realtimeTo = realtimeTo;
    this.#pathsTo = pathsTo;
  }

  /**
   * Of a message to `destination` with options of its own, null: none; valid until the next call.
   * The realtime service where all on the way know it, else best effort, and several paths where
   * there is one over nodes that know such packets, else link state: an older node would drop it.
   */
  of(
    session: DatagramSession,
    destination: NodeId,
    options: MessageOptions | null = null,
  ): PacketModes {
    const toGroup = !isNodeId(destination);
    const routed = !toGroup && carriesGraph(session.dissemination);
    const unrouted = routed && !this.#pathsTo(destination, session.paths);
    const hasTime = session.dissemination === DISSEMINATION_GRAPH;
    if (session.service !== SERVICE_REALTIME && !toGroup && !unrouted && !hasTime) return session;
    const modes = this.#modes;
    modes.dissemination = toGroup || unrouted ? DISSEMINATION_LINK_STATE : session.dissemination;
    modes.paths = session.paths;
    modes.graph = session.graph;
    modes.withinUs = hasTime ? deadlineUs(session.deadline) - session.spentUs : 0;
    modes.ttl = toGroup ? session.multicastTtl : session.ttl;
    modes.priority = session.priority;
    modes.service = session.service;
    modes.deadline = 0;
    modes.spentUs = 0;
    if (session.service !== SERVICE_REALTIME) return modes;
    modes.service = SERVICE_BEST_EFFORT;
    // Who knows packets with graphs knows the realtime service.
    if ((!routed || unrouted) && !this.#realtimeTo(destination, modes.dissemination)) return modes;
    modes.service = SERVICE_REALTIME;
    const { deadline, spentUs } = options?.deadline == null ? session : options.deadline;
    modes.deadline = deadline;
    modes.spentUs = spentUs;
    const redundancy = options?.redundancy ?? session.redundancy;
    if (redundancy === 'copy') modes.priority = Math.max(PRECIOUS_PRIORITY, session.priority);
    else if (redundancy === 'none')
      modes.priority = Math.min(PRECIOUS_PRIORITY - 1, session.priority);
    return modes;
  }
}

/** The packet's age is beyond its deadline, and the session has no use for such. */
export function isLate(session: DatagramSession, packet: Packet): boolean {
  return packet.ageUs > 0 && session.late === 'drop' && isOver(packet, packet.ageUs);
}
