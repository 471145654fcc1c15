/**
 * `spines doctor`: what on this machine, and in the daemon if one runs, keeps it from being as fast
 * and as safe as it could be.
 *
 * Owns the list of checks and their advice. Each finding is a fact and, when something could be
 * better, what to do; exit code 1 when there is such a one, 3 when no daemon answers.
 */

import type { Command } from 'commander';
import type { SpinesClient } from 'spines-client';

import { drawIndexMark } from '../../core/base/index-mark.ts';
import { addClientFlags, ask, connectTo, type ClientFlags } from '../client.ts';
import { daemonFindings } from './doctor-daemon.ts';
import { badLinks, convictionFindings } from './doctor-links.ts';
import { networkFindings, pingAll } from './doctor-network.ts';
import { sizeFindings } from './doctor-sizes.ts';
import type { Finding } from './finding.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { EXIT_NO, toFailure } from '../terminal/failure.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatTable, paintFor, wrapText, type Paint } from '../terminal/table.ts';

/** What the machine has. */
export interface MachineFacts {
  readonly node: string;
  readonly platform: string;
  /** Name and microseconds to seal and open 1000 bytes, the fastest first. */
  readonly primitives: readonly { readonly name: string; readonly microseconds: number }[];
  readonly offload: boolean;
  /** Why not. */
  readonly without?: string | null;
  /** Its sockets let no datagram be fragmented. */
  readonly dontFragment: boolean;
  /** What strangers send waits in a queue of its own. */
  readonly strangersApart: boolean;
  readonly receiveBufferBytes: number;
  readonly receiveBufferWanted: number;
}

type DoctorFlags = ClientFlags & { json?: boolean; network?: boolean };

export function registerDoctor(program: Command): void {
  addClientFlags(
    program
      .command('doctor')
      .description('look for what keeps this machine and its daemon from doing better'),
  )
    .option('--network', 'the whole overlay as well: every node is pinged')
    .option('--json', 'print JSON')
    .action(async (flags: DoctorFlags) => {
      const findings = [...machineFindings(await machineFacts()), ...(await daemonOf(flags))];
      if (flags.json === true) printJson({ schema: 1, findings });
      else
        print(formatFindings(findings, paintFor(process.stdout, process.env), terminalColumns()));
      if (findings.some(({ advice }) => advice !== null)) process.exitCode ??= EXIT_NO;
    });
}

async function machineFacts(): Promise<MachineFacts> {
  const { availablePrimitives } = await import('../../host/primitives/choose-primitives.ts');
  const { findOffload } = await import('../../host/net/offload.ts');
  const { RECEIVE_BUFFER_BYTES, UdpSink } = await import('../../host/net/udp.ts');
  const { offload, without } = findOffload();
  const sink = new UdpSink(
    {
      onRead: () => {},
      onDatagram: () => true,
      onDropped: () => {},
      onRefused: () => {},
      onTooLong: () => {},
      onWritable: () => {},
      onError: () => {},
    },
    offload,
    drawIndexMark(0),
  );
  await sink.open([{ address: '127.0.0.1', port: 0 }]);
  const strangersApart = sink.apart;
  await sink.close();
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    primitives: availablePrimitives().map(({ primitives: { name }, microseconds }) => ({
      name,
      microseconds,
    })),
    offload: sink.offloaded,
    without,
    dontFragment: sink.dontFragment,
    strangersApart,
    receiveBufferBytes: sink.receiveBufferBytes,
    receiveBufferWanted: RECEIVE_BUFFER_BYTES,
  };
}

export function machineFindings({
  node,
  platform,
  primitives,
  offload,
  without = null,
  dontFragment,
  strangersApart,
  receiveBufferBytes,
  receiveBufferWanted,
}: MachineFacts): Finding[] {
  const linux = platform.startsWith('linux');
  const measured = primitives
    .map(({ name, microseconds }) => `${name} ${microseconds.toFixed(1)} us`)
    .join(', ');
  return [
    { what: 'Node.js', found: `${node} on ${platform}`, advice: null },
    {
      what: 'cryptography',
      found: `${measured} to seal and open 1000 bytes`,
      advice: primitives.some(({ name }) => name === 'libsodium')
        ? null
        : 'install the optional package sodium-native (npm install --include=optional): sealing ' +
          'costs half',
    },
    {
      what: 'UDP offload',
      found: offload
        ? 'many datagrams in one call'
        : `one call for each datagram${without === null ? '' : `: ${without}`}`,
      advice:
        offload || !linux
          ? null
          : 'install the optional package koffi (npm install --include=optional); it needs Linux ' +
            '5.0 on x64 or arm64',
    },
    {
      what: 'datagram sizes',
      found: dontFragment
        ? 'measured on each path, no fragments'
        : 'cannot be probed: what is too long for a path leaves in IP fragments',
      advice: dontFragment
        ? null
        : linux
          ? 'install the optional package koffi (npm install --include=optional): Node has no ' +
            "don't-fragment, and paths that drop fragments lose full packets"
          : "only Linux has don't-fragment here: see that no path of its links drops IP fragments",
    },
    {
      what: 'strangers',
      found: strangersApart
        ? 'what they send waits in a queue of its own'
        : 'what they send shares the queue of what links bring: floods of it cost links their data',
      advice:
        strangersApart || !linux
          ? null
          : 'install the optional package koffi (npm install --include=optional); it needs Linux ' +
            '4.5 on x64 or arm64',
    },
    {
      what: 'receive buffer',
      found:
        `${Math.round(receiveBufferBytes / 1_024)} KiB granted, ` +
        `${Math.round(receiveBufferWanted / 1_024)} KiB asked for`,
      advice:
        receiveBufferBytes >= receiveBufferWanted
          ? null
          : linux
            ? 'bursts are lost in the kernel: sysctl -w ' +
              `net.core.rmem_max=${receiveBufferWanted}, then restart the daemon`
            : 'bursts are lost in the kernel: raise its limit for UDP receive buffers',
    },
  ];
}

/**
 * That no daemon answers is a finding like others: the machine was looked at all the same. Then the
 * exit code says so.
 */
async function daemonOf(flags: DoctorFlags): Promise<Finding[]> {
  let client: SpinesClient;
  try {
    client = await connectTo(flags, 'doctor');
  } catch (error) {
    const { message, exitCode } = toFailure(error);
    process.exitCode = exitCode;
    const [found = message, ...remedy] = message.split('; ');
    return [
      { what: 'daemon', found, advice: remedy.length === 0 ? 'see its log' : remedy.join('; ') },
    ];
  }
  try {
    const status = await ask(client, 'status'),
      links = await ask(client, 'links');
    const findings = [
      ...daemonFindings(status),
      ...sizeFindings(links, status),
      ...badLinks(links),
    ];
    if ((status.byzantine?.convictedLinks ?? 0) > 0)
      findings.push(...convictionFindings(await ask(client, 'byzantineRoutes')));
    if (flags.network !== true) return findings;
    const nodes = await ask(client, 'nodes');
    return [...findings, ...networkFindings(nodes, await pingAll(client, nodes.nodes))];
  } finally {
    await client.close();
  }
}

export function formatFindings(
  all: readonly Finding[],
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  const findings = plainAnswer(all);
  const table = formatTable(
    [{ title: '' }, { title: 'what', cut: 18 }, { title: 'found', wrap: 40 }],
    findings.map(({ what, found, advice }) => [
      advice === null ? paint('green', 'ok') : paint('yellow', 'see below'),
      what,
      found,
    ]),
    columns,
  );
  const todo = findings.flatMap(({ what, advice, next }) => {
    if (advice === null) return [];
    const then = next === undefined ? '' : wrapText(`next: ${next}`, '  ', columns);
    return [`${wrapText(`${what}:`, '', columns)}${wrapText(advice, '  ', columns)}${then}`];
  });
  return [table, ...(todo.length === 0 ? ['nothing to do\n'] : ['\n', ...todo])].join('');
}
