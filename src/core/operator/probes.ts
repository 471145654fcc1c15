/**
 * What operators have a daemon find out: ping, trace, and the path that the Byzantine-resilient
 * router takes.
 *
 * Answers come later. Probes under way are bounded by EchoService, for each holder; searches of a
 * path by SearchBudget.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { MILLISECOND } from '../base/time.ts';
import { integer, text, type Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import { ECHO_BYTES_MAX } from '../session/echo-service.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  DISSEMINATION_NAMES,
  disseminationCode,
  SERVICE_BEST_EFFORT,
  SERVICE_NAMES,
  serviceCode,
} from '../wire/modes.ts';
import { TTL_DEFAULT } from '../wire/packet.ts';
import type { ByzantineTraceReply, TraceHop } from 'spines-client/protocol';
import { traceHops, traceInUse } from './byzantine-report.ts';
import { targetOf } from './nodes-report.ts';
import { byzantineOf, ms, type Answering, type Operator } from './operation.ts';

const TRACE_HOPS_MAX = 64;
const TRACE_PROBES_MAX = 20;
const TIMEOUT_MAX_MS = 60_000;
const TRACED = {
  service: SERVICE_BEST_EFFORT,
  dissemination: DISSEMINATION_LINK_STATE,
  payloadBytes: 0,
};

/** One echo request; ETIMEDOUT when nothing comes back in time. */
export function ping(
  operator: Operator,
  args: Arguments,
  reply: Answering<'ping'>,
  asker: ConnectedClient | null,
): void {
  const node = targetOf(operator, args, 'node');
  const timeoutUs = integer(args, 'timeoutMs', 1, TIMEOUT_MAX_MS) * MILLISECOND;
  const payloadBytes = args['bytes'] == null ? 0 : integer(args, 'bytes', 0, ECHO_BYTES_MAX);
  const service = linkOf(args),
    dissemination = routingOf(args);
  // Without identities it says what it needs.
  if (dissemination === DISSEMINATION_BYZANTINE) byzantineOf(operator.node);
  const refused = operator.node.echo.probe(
    node,
    { service, dissemination, ttl: TTL_DEFAULT, payloadBytes },
    timeoutUs,
    (result) => {
      if (result === null)
        reply(
          new SpinesError(
            'ETIMEDOUT',
            `${formatNodeId(node)} did not answer within ${ms(timeoutUs)} ms`,
          ),
        );
      else
        reply({
          node: formatNodeId(result.node),
          rttMs: result.rttUs / MILLISECOND,
          hops: result.hops,
        });
    },
    holderOf(asker),
  );
  if (refused !== DropReason.none) throw unsent(node, refused);
}

/** The link service that is asked for. Throws SpinesError EINVAL. */
function linkOf(args: Arguments): number {
  if (args['link'] == null) return SERVICE_BEST_EFFORT;
  const code = serviceCode(text(args, 'link'));
  if (code === undefined)
    throw new SpinesError('EINVAL', `link must be one of ${SERVICE_NAMES.join(', ')}`);
  return code;
}

/** The routing that is asked for. Throws SpinesError EINVAL. */
function routingOf(args: Arguments): number {
  if (args['routing'] == null) return DISSEMINATION_LINK_STATE;
  const code = disseminationCode(text(args, 'routing'));
  if (code === undefined)
    throw new SpinesError('EINVAL', `routing must be one of ${DISSEMINATION_NAMES.join(', ')}`);
  return code;
}

/**
 * Sends `probes` requests for every ttl, all at once, and answers when the last is in or given
 * up.
 */
export function trace(
  operator: Operator,
  args: Arguments,
  reply: Answering<'trace'>,
  asker: ConnectedClient | null,
): void {
  const node = targetOf(operator, args, 'node');
  const timeoutUs = integer(args, 'timeoutMs', 1, TIMEOUT_MAX_MS) * MILLISECOND;
  const probes = args['probes'] === undefined ? 3 : integer(args, 'probes', 1, TRACE_PROBES_MAX);
  const { router, config } = operator.node;
  const index = router.paths.indexOf.get(node);
  if (node !== config.id && (index === undefined || router.paths.cost[index]! < 0))
    throw unsent(node, DropReason.noRoute);
  const far = node === config.id ? 1 : Math.min(TRACE_HOPS_MAX, router.paths.hops[index!]! + 2);
  const rttSums = new Float64Array(far);
  const hops: TraceHop[] = [];
  for (let hop = 1; hop <= far; hop += 1)
    hops.push({ hop, node: null, name: null, rttMs: null, sent: 0, received: 0 });
  let open = far * probes;
  let reachedAt = far;
  let reached = false;
  const settle = (): void => {
    open -= 1;
    if (open > 0) return;
    const rows = reached ? hops.slice(0, reachedAt) : hops;
    rows.forEach((row, i) => {
      if (row.received > 0) row.rttMs = ms(rttSums[i]! / row.received);
    });
    reply({ schema: 1, node: formatNodeId(node), reached, hops: rows });
  };
  for (const row of hops) {
    for (let i = 0; i < probes; i += 1) {
      row.sent += 1;
      const refused = operator.node.echo.probe(
        node,
        { ...TRACED, ttl: row.hop },
        timeoutUs,
        (result) => {
          if (result !== null) {
            row.node = formatNodeId(result.node);
            row.name = router.nameOf(result.node);
            row.received += 1;
            rttSums[row.hop - 1]! += result.rttUs;
            if (result.reached) {
              reached = true;
              reachedAt = Math.min(reachedAt, row.hop);
            }
          }
          settle();
        },
        holderOf(asker),
      );
      if (refused !== DropReason.none) settle();
    }
  }
}

/** The path in use, or what discovery finds in time. */
export function byzantineTrace(
  operator: Operator,
  args: Arguments,
  reply: Answering<'byzantineTrace'>,
  asker: ConnectedClient | null,
): void {
  const node = targetOf(operator, args, 'node');
  const timeoutUs = integer(args, 'timeoutMs', 1, TIMEOUT_MAX_MS) * MILLISECOND;
  const byzantine = byzantineOf(operator.node);
  const nameOf = (id: NodeId): string | null => operator.node.router.nameOf(id);
  const answer = ({ link, hops }: Pick<ByzantineTraceReply, 'link' | 'hops'>): void =>
    reply({ schema: 1, node: formatNodeId(node), link, hops });
  if (node === operator.node.config.id) {
    answer({ link: null, hops: [] });
    return;
  }
  const inUse = traceInUse(byzantine, node, nameOf);
  if (inUse !== null) {
    answer(inUse);
    return;
  }
  // Each may be a search by the whole network, signed by this node, behind which its own flows
  // wait.
  operator.searches.take(asker, operator.env.clock.now());
  const looks = byzantine.findPath(node, timeoutUs, (path) => {
    if (path === null)
      reply(
        new SpinesError(
          'EHOSTUNREACH',
          `no path to ${formatNodeId(node)} was found within ${ms(timeoutUs)} ms; \`spines ` +
            `nodes\` shows whether it is known`,
        ),
      );
    else answer({ link: null, hops: traceHops(path.nodes, nameOf) });
  });
  if (!looks) throw unsent(node, DropReason.noRoute);
}

/**
 * Who shares with himself: a certificate, however often it connects, or a program of this machine.
 */
function holderOf(asker: ConnectedClient | null): unknown {
  return asker?.access.certificate ?? asker;
}

function unsent(node: NodeId, reason: DropReason): SpinesError {
  if (reason === DropReason.noRoute || reason === DropReason.linkDown) {
    return new SpinesError(
      'EHOSTUNREACH',
      `no route to ${formatNodeId(node)}; \`spines routes\` shows what is reachable`,
    );
  }
  return new SpinesError('ENOBUFS', `not sent to ${formatNodeId(node)}: ${dropReasonName(reason)}`);
}
