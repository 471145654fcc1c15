/**
 * The way of every client command to its daemon: which flags name it, connecting, asking, hanging
 * up.
 *
 * Owns the flags for socket, TCP and remote daemons. Replies are typed here, by the operation they
 * answer. Called by the commands that talk to a running daemon. Invariant: the connection is closed
 * however the command ends.
 */

import { DISSEMINATION_NAMES } from '../core/wire/modes.ts';
import { Option, type Command } from 'commander';
import { SpinesClient, type ConnectOptions } from 'spines-client';
import type { OperationAnswer, OperationArgs, OperationName } from 'spines-client/protocol';

import { readText } from '../host/files/text-file.ts';
import { usage } from './terminal/failure.ts';
import { Patience, type Wait } from './terminal/patience.ts';
import { durationArg, hostPortArg, silenceMsArg } from './terminal/values.ts';

export interface ClientFlags {
  socket?: string;
  tcp?: { host: string; port: number };
  tokenFile?: string;
  remote?: { host: string; port: number };
  daemonCertificate?: string;
  certificate?: string;
  key?: string;
  wait?: Wait;
}

/**
 * Commands that carry data. All others only ask, and a daemon that is full of clients has a place
 * for them.
 */
const OPENS_SOCKETS: ReadonlySet<string> = new Set([
  'bridge',
  'cat',
  'expose',
  'forward',
  'socks',
  'talk',
]);

/** Longer than any request takes that is not itself a wait. */
const REQUEST_TIMEOUT_MS = 10_000;

export function addClientFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--socket <path>',
        "the daemon's Unix socket (default: $SPINES_SOCKET, else spines.sock in $XDG_RUNTIME_DIR " +
          'or /tmp)',
      ),
    )
    .addOption(
      new Option(
        '--tcp <host:port>',
        "the daemon's TCP address on this machine (client.tcp), instead of the socket",
      )
        .argParser(hostPortArg)
        .conflicts(['socket', 'remote']),
    )
    .addOption(
      new Option(
        '--token-file <file>',
        "with --tcp: the daemon's token file (default: $SPINES_TOKEN_FILE)",
      ),
    )
    .addOption(
      new Option(
        '--remote <host:port>',
        'a daemon on another machine (client.remote), with the three files below',
      )
        .argParser(hostPortArg)
        .conflicts('socket'),
    )
    .addOption(
      new Option(
        '--daemon-certificate <file>',
        "with --remote: a copy of that daemon's certificate",
      ),
    )
    .addOption(
      new Option('--certificate <file>', 'with --remote: your certificate, with the role client'),
    )
    .addOption(new Option('--key <file>', 'with --remote: its private key'))
    .addOption(
      new Option(
        '--wait [time]',
        'wait for the daemon to answer, at most so long (ping: for the node too; cat and talk: ' +
          'for ' +
          'a listener too)',
      ).argParser(durationArg),
    );
}

/** Against whom what this command sends is protected, and what it takes. */
export function secrecyOption(): Option {
  return new Option(
    '--secrecy <secrecy>',
    'who may read it: end-to-end, the two daemons; links, routers on the way too (default: the ' +
      "daemon's)",
  ).choices(['end-to-end', 'links']);
}

/** How what this command sends finds its way. */
export function routingOption(): Option {
  return new Option('--routing <routing>', 'way through the overlay (default: link-state)').choices(
    DISSEMINATION_NAMES,
  );
}

/** How long the far end of a stream may be silent. */
export function silenceOption(): Option {
  return new Option(
    '--silence <time>',
    "give up a far end that has been silent for so long (default: the daemon's, 30s)",
  ).argParser(silenceMsArg);
}

/**
 * Connects, runs `body`, closes. `what` names the command in the daemon's log. `reconnect`: a
 * daemon that restarts is waited for.
 */
export async function withClient<T>(
  flags: ClientFlags,
  what: string,
  body: (client: SpinesClient) => Promise<T>,
  reconnect = false,
): Promise<T> {
  const client = await connectTo(flags, what, reconnect);
  try {
    return await body(client);
  } finally {
    await client.close();
  }
}

/** As `--wait` says, over and over. */
export async function connectTo(
  flags: ClientFlags,
  what: string,
  reconnect = false,
): Promise<SpinesClient> {
  return new Patience(flags.wait).until(() =>
    SpinesClient.connect({
      ...targetOf(flags),
      name: `spines ${what}`,
      asksOnly: !OPENS_SOCKETS.has(what),
      reconnect,
    }),
  );
}

/** Which daemon the flags mean, and what to show it. */
export function targetOf(flags: ClientFlags): ConnectOptions {
  const { socket, tcp, tokenFile, remote, daemonCertificate, certificate, key } = flags;
  if (socket === '') throw usage("--socket is empty; give the path of the daemon's socket");
  if (tokenFile !== undefined && tcp === undefined)
    throw usage("--token-file is for --tcp; give the daemon's address with --tcp HOST:PORT");
  if (remote === undefined) {
    if (daemonCertificate !== undefined || certificate !== undefined || key !== undefined)
      throw usage(
        "certificates are for --remote; give the daemon's address with --remote HOST:PORT",
      );
    if (tcp === undefined) return socket === undefined ? {} : { path: socket };
    return tokenFile === undefined ? tcp : { ...tcp, token: readText(tokenFile, 'token file') };
  }
  if (daemonCertificate === undefined || certificate === undefined || key === undefined)
    throw usage(
      '--remote needs --daemon-certificate FILE, --certificate FILE and --key FILE; give all three',
    );
  return {
    ...remote,
    daemonCertificate: readText(daemonCertificate, 'certificate'),
    certificate: readText(certificate, 'certificate'),
    key: readText(key, 'key file'),
  };
}

/**
 * One request, answered with what `op` answers. `timeoutMs` for requests that wait by themselves.
 */
export async function ask<Op extends OperationName>(
  client: SpinesClient,
  op: Op,
  ...[args, timeoutMs = REQUEST_TIMEOUT_MS]: Asked<Op>
): Promise<OperationAnswer<Op>> {
  const asked: string = op;
  const reply: unknown = await client.request(asked, { ...args }, { timeoutMs });
  return reply as OperationAnswer<Op>;
}

type Asked<Op extends OperationName> =
  Readonly<Record<string, never>> extends OperationArgs<Op>
    ? [args?: OperationArgs<Op>, timeoutMs?: number]
    : [args: OperationArgs<Op>, timeoutMs?: number];
