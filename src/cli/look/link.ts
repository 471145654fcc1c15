/**
 * `spines link set` and `spines link show`: the emulated characteristics of a running daemon's
 * links.
 *
 * Owns the flags and their translation to the client protocol's LinkSettings. A daemon emulates
 * what it sends: one call changes the direction away from the daemon asked.
 */

import { Option, type Command } from 'commander';
import type { LinkSettings } from 'spines-client';

import { registerDials } from './link-dials.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { EXIT_NO, Failure, usage } from '../terminal/failure.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { formatMs, formatNode, formatPct, formatTable, wrapText } from '../terminal/table.ts';
import { bandwidthArg, delayMsArg, mtuArg, percentArg } from '../terminal/values.ts';

export interface LinkSetFlags extends ClientFlags {
  latency?: number;
  jitter?: number;
  bandwidth?: number | null;
  mtu?: number | null;
  loss?: number;
  duplicate?: number;
  reorder?: number;
  corrupt?: number;
  up?: boolean;
  down?: boolean;
  json?: boolean;
}

export function registerLink(program: Command): void {
  const link = program
    .command('link')
    .description('whom a daemon dials; emulated characteristics of its links');
  registerDials(link);
  registerSet(link);
  registerShow(link);
}

function registerSet(link: Command): void {
  addClientFlags(
    link
      .command('set <node>')
      .description('change the link to a neighbour, in the direction away from the daemon asked'),
  )
    .option('--latency <time>', 'one-way delay', delayMsArg)
    .option('--jitter <time>', 'most extra delay', delayMsArg)
    .option('--bandwidth <rate>', 'bit rate, or "unlimited"', bandwidthArg)
    .option('--mtu <bytes>', 'longest IP packet, or "unlimited"', mtuArg)
    .option('--loss <percent>', 'datagrams lost', percentArg)
    .option('--duplicate <percent>', 'datagrams that arrive twice', percentArg)
    .option('--reorder <percent>', 'datagrams held back', percentArg)
    .option('--corrupt <percent>', 'datagrams with a bit flipped', percentArg)
    .option('--up', 'let traffic pass')
    .addOption(new Option('--down', 'lose all traffic').conflicts('up'))
    .option('--json', 'print JSON')
    .action((node: string, flags: LinkSetFlags) => {
      const settings = toSettings(flags);
      if (Object.keys(settings).length === 0)
        throw usage(
          'nothing to change; give at least one of --latency, --jitter, --bandwidth, --mtu, ' +
            '--loss, --duplicate, --reorder, --corrupt, --up, --down',
        );
      return withClient(flags, 'link set', async (client) => {
        const reply = await ask(client, 'linkSet', { peer: node, settings });
        if (flags.json === true) printJson(reply);
        else
          print(
            wrapText(
              `${client.name || client.node} -> ${node}: ${describeSettings(reply.settings)}`,
              '',
              terminalColumns(),
            ),
          );
      });
    });
}

function registerShow(link: Command): void {
  addClientFlags(
    link
      .command('show [node]')
      .description('list what is emulated on the links, or on the link to one neighbour'),
  )
    .option('--json', 'print JSON')
    .action((node: string | undefined, flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'link show', async (client) => {
        const { links } = await ask(client, 'links');
        const rows = links.filter(
          (row) =>
            node === undefined || row.node === node || row.name === node || row.address === node,
        );
        if (node !== undefined && rows.length === 0)
          throw new Failure(
            EXIT_NO,
            'ENOTFOUND',
            `there is no link to ${node}; see \`spines links\` for the neighbours`,
          );
        if (flags.json === true) {
          printJson({
            links: rows.map(({ node: quad, name, address, state, emulated }) => ({
              node: quad,
              name,
              address,
              state,
              emulated,
            })),
          });
          return;
        }
        print(
          formatTable(
            [
              { title: 'to', cut: 18, key: true },
              { title: 'address', cut: 21 },
              { title: 'state' },
              { title: 'emulated', wrap: 20 },
            ],
            rows.map((row) => [
              formatNode(row.name, row.node),
              row.address,
              row.state,
              row.emulated === null ? 'nothing' : describeSettings(row.emulated),
            ]),
            terminalColumns(),
          ),
        );
      }),
    );
}

export function toSettings(flags: LinkSetFlags): LinkSettings {
  const settings: LinkSettings = {};
  if (flags.latency !== undefined) settings.latencyMs = flags.latency;
  if (flags.jitter !== undefined) settings.jitterMs = flags.jitter;
  if (flags.bandwidth !== undefined) settings.bandwidthKbps = flags.bandwidth;
  if (flags.mtu !== undefined) settings.mtuBytes = flags.mtu;
  if (flags.loss !== undefined) settings.lossPct = flags.loss;
  if (flags.duplicate !== undefined) settings.duplicatePct = flags.duplicate;
  if (flags.reorder !== undefined) settings.reorderPct = flags.reorder;
  if (flags.corrupt !== undefined) settings.corruptPct = flags.corrupt;
  if (flags.up === true) settings.up = true;
  if (flags.down === true) settings.up = false;
  return settings;
}

/** "up, 10.0 ms, 10000 kbit/s, 1 % loss". */
export function describeSettings(settings: LinkSettings): string {
  const parts: string[] = [];
  if (settings.up !== undefined) parts.push(settings.up ? 'up' : 'down');
  if (settings.latencyMs !== undefined) parts.push(formatMs(settings.latencyMs));
  if (settings.jitterMs) parts.push(`${formatMs(settings.jitterMs)} jitter`);
  if (settings.bandwidthKbps !== undefined)
    parts.push(settings.bandwidthKbps === null ? 'unlimited' : `${settings.bandwidthKbps} kbit/s`);
  if (settings.mtuBytes != null) parts.push(`MTU ${settings.mtuBytes}`);
  if (settings.lossPct) parts.push(`${formatPct(settings.lossPct)} loss`);
  if (settings.duplicatePct) parts.push(`${formatPct(settings.duplicatePct)} duplicated`);
  if (settings.reorderPct) parts.push(`${formatPct(settings.reorderPct)} reordered`);
  if (settings.corruptPct) parts.push(`${formatPct(settings.corruptPct)} corrupted`);
  return parts.join(', ');
}
