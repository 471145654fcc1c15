/**
 * The operations of the daemon, a row each: who may ask, and what answers.
 *
 * Their arguments and answers, for both sides, are those of the client protocol
 * (spines-client/src/shared/operations.ts). Requests about a client's own sockets are not here
 * (core/ipc/client-requests.ts).
 */

import { ClientRequests } from '../ipc/client-requests.ts';
import type { ClientRole } from '../ipc/roles.ts';
import type { OperationName } from 'spines-client/protocol';
import { byzantineRoutes } from './byzantine-report.ts';
import { linkSet, logLevel, reload, shutdown } from './changes.ts';
import { drain } from './drain.ts';
import { linkAdd, linkList, linkRemove } from './dials.ts';
import { firewallRules, mayReach } from './firewall-report.ts';
import { groupsReport, groupTree, members } from './groups-report.ts';
import { linksReport } from './links-report.ts';
import { nodesReport, routesReport, targetOf } from './nodes-report.ts';
import { byzantineOf, change, later, look, type Operation } from './operation.ts';
import { byzantineTrace, ping, trace } from './probes.ts';
import { sessionsReport, socketInfo } from './sessions-report.ts';
import { statusReport } from './status-report.ts';

/** What the daemon does itself; names are the client's to resolve. */
type DaemonOperation = Exclude<OperationName, 'resolve'>;

export const OPERATIONS: { readonly [Op in DaemonOperation]: Operation<Op> } = {
  status: look(statusReport),
  links: look(linksReport),
  routes: look(routesReport),
  nodes: look(nodesReport),
  sessions: look(sessionsReport),
  members: look(members),
  groups: look(groupsReport),
  groupTree: look(groupTree),
  byzantineRoutes: look((operator) =>
    byzantineRoutes(
      byzantineOf(operator.node),
      (node) => operator.node.router.nameOf(node),
      operator.env.clock.now(),
    ),
  ),
  watch: later((operator, args, reply, asker) =>
    reply(operator.watch.subscribe(operator, args, asker)),
  ),
  capture: change((operator, args, reply, asker) =>
    reply(operator.captures.begin(operator, args, asker)),
  ),
  captureRead: {
    ...later<'captureRead'>((operator, args, reply, asker) =>
      operator.captures.read(args, reply, asker),
    ),
    role: 'full',
  },
  socketInfo: {
    ...later<'socketInfo'>((operator, args, reply, asker) =>
      reply(socketInfo(operator, args, asker)),
    ),
    role: 'use',
  },
  firewall: look(({ node }, args) => firewallRules(node.firewall, args)),
  mayReach: later((operator, args, reply, asker) => {
    const { firewall, drops } = operator.node;
    reply(mayReach(firewall, drops, targetOf(operator, args, 'node'), args, asker));
  }),
  ping: later(ping),
  trace: later(trace),
  byzantineTrace: later(byzantineTrace),
  linkSet: change((operator, args, reply) => reply(linkSet(operator, args))),
  linkList: look(linkList),
  linkAdd: change((operator, args, reply) => reply(linkAdd(operator, args))),
  linkRemove: change((operator, args, reply) => reply(linkRemove(operator, args))),
  logLevel: {
    ...change<'logLevel'>((operator, args, reply) => reply(logLevel(operator, args))),
    onlyLooks: ({ level }) => level == null,
  },
  reload: { ...change<'reload'>(reload), recorded: ({ changes }) => ({ changes }) },
  drain: {
    ...change<'drain'>((operator, args, reply) => reply(drain(operator, args))),
    recorded: ({ state }) => ({ state }),
  },
  shutdown: change(shutdown),
};

const BY_NAME: ReadonlyMap<string, Operation<OperationName>> = new Map(
  Object.entries(OPERATIONS as Readonly<Record<string, Operation<OperationName>>>),
);

/** The operation of that name, as a client wrote it; undefined when there is none. */
export function operationOf(name: string): Operation<OperationName> | undefined {
  return BY_NAME.get(name);
}

/**
 * The least role that may ask for `op`; what nobody knows is for nobody but those who may do all.
 */
export function roleFor(op: string): ClientRole {
  return ClientRequests.roleOf(op) ?? operationOf(op)?.role ?? 'full';
}
