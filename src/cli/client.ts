/**
 * The way of every client command to its daemon: which flags name it, connecting, asking, hanging up.
 *
 * Owns --socket and --connect. Replies are typed here, by the operation they answer. Called by the
 * commands that talk to a running daemon. Invariant: the connection is closed however the command ends.
 */

import { Option, type Command } from 'commander';
import { SpinesClient, type LinkSettings, type LinksReply, type NodesReply, type RoutesReply, type StatusReply, type TraceReply } from 'spines-client';
import type { SessionsReply } from 'spines-client/protocol';

import { usage } from './failure.ts';
import { hostPortArg } from './values.ts';

export interface ClientFlags {
  socket?: string;
  connect?: { host: string; port: number };
}

export interface Replies {
  resolve: { node: string; name: string };
  status: StatusReply;
  links: LinksReply;
  routes: RoutesReply;
  nodes: NodesReply;
  sessions: SessionsReply;
  ping: { node: string; rttMs: number; hops: number };
  trace: TraceReply;
  linkSet: { settings: LinkSettings };
  shutdown: Record<string, never>;
}

/** Longer than any request takes that is not itself a wait. */
const REQUEST_TIMEOUT_MS = 10_000;

export function addClientFlags(command: Command): Command {
  return command
    .addOption(new Option('--socket <path>', 'the daemon\'s Unix socket (default: $SPINES_SOCKET, else spines.sock in $XDG_RUNTIME_DIR or /tmp)'))
    .addOption(new Option('--connect <host:port>', 'the daemon\'s TCP address for clients, instead of the socket').argParser(hostPortArg).conflicts('socket'));
}

/** Connects, runs `body`, closes. `what` names the command in the daemon's log. `reconnect`: a daemon that restarts is waited for. */
export async function withClient<T>(flags: ClientFlags, what: string, body: (client: SpinesClient) => Promise<T>, reconnect = false): Promise<T> {
  if (flags.socket === '') throw usage('--socket is empty; give the path of the daemon\'s socket');
  const target = flags.connect ?? (flags.socket === undefined ? {} : { path: flags.socket });
  const client = await SpinesClient.connect({ ...target, name: `spines ${what}`, reconnect });
  try {
    return await body(client);
  } finally {
    await client.close();
  }
}

/** One request, answered with what `op` answers. `timeoutMs` for requests that wait by themselves. */
export async function ask<Op extends keyof Replies>(
  client: SpinesClient, op: Op, args: Record<string, unknown> = {}, timeoutMs: number = REQUEST_TIMEOUT_MS,
): Promise<Replies[Op]> {
  const reply: unknown = await client.request(op, args, { timeoutMs });
  return reply as Replies[Op];
}
