/**
 * `spines firewall`: the rules that a daemon goes by, and how often each decided.
 *
 * Owns the layout of the answer; rules and counters are the daemon's. A list of many rules comes in
 * several replies.
 */

import type { Command } from 'commander';
import type { SpinesClient } from 'spines-client';
import type { FirewallReply } from 'spines-client/protocol';

import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatTable, paintFor, type Column, type Paint } from '../terminal/table.ts';

const LISTS = ['inbound', 'targets', 'clients'] as const;
const MEANING: Readonly<Record<FirewallReply['list'], string>> = {
  inbound: 'what other nodes send to ports of this one',
  targets: 'what they reach through `spines expose` here',
  clients: 'what remote clients of this daemon do',
};
const WHAT_COLUMNS_MIN = 30;

export function registerFirewall(program: Command): void {
  addClientFlags(
    program
      .command('firewall')
      .description("list the rules of this daemon's firewall, and how often each decided"),
  )
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'firewall', async (client) => {
        const lists: FirewallReply[] = [];
        for (const list of LISTS) lists.push(await wholeList(client, list));
        if (flags.json === true)
          printJson({
            lists: lists.map(({ list, default: otherwise, defaultHits, rules }) => ({
              list,
              default: otherwise,
              defaultHits,
              rules,
            })),
          });
        else print(formatFirewall(lists, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

async function wholeList(
  client: SpinesClient,
  list: FirewallReply['list'],
): Promise<FirewallReply> {
  const whole = await ask(client, 'firewall', { list });
  while (whole.rules.length < whole.total) {
    const { rules, total } = await ask(client, 'firewall', { list, from: whole.rules.length });
    // Fewer by now: a reload came between.
    if (rules.length === 0 || total !== whole.total) return wholeList(client, list);
    whole.rules.push(...rules);
  }
  return whole;
}

export function formatFirewall(
  lists: readonly FirewallReply[],
  paint: Paint,
  most = COLUMNS_DEFAULT,
): string {
  const shown = lists.map(plainAnswer);
  const empty = shown.filter(({ rules }) => rules.length === 0);
  const text = shown
    .filter(({ rules }) => rules.length > 0)
    .map((list) => formatList(list, paint, most))
    .join('\n');
  const rest = empty
    .map(
      (list) =>
        `${list.list}: no rules, all ${list.default === 'allow' ? 'allowed' : 'denied'} ` +
        `(${list.defaultHits})\n`,
    )
    .join('');
  return text + (text === '' || rest === '' ? '' : '\n') + rest;
}

function formatList(
  { list, default: otherwise, defaultHits, rules }: FirewallReply,
  paint: Paint,
  most: number,
): string {
  const columns: Column[] = [
    { title: '#', align: 'right' },
    { title: 'hits', align: 'right' },
    { title: 'does' },
  ];
  const does = (action: string): string => paint(action === 'allow' ? 'green' : 'red', action);
  const facts = [
    ...rules.map(({ number, hits, rule }) => [
      String(number),
      String(hits),
      does(String(rule['action'])),
    ]),
    ['', String(defaultHits), does(otherwise)],
  ];
  const texts = [...rules.map(({ rule }) => ruleText(rule)), 'the rest (default)'];
  return `${list}: ${MEANING[list]}\n${formatTable(
    [...columns, { title: 'what', wrap: WHAT_COLUMNS_MIN }],
    facts.map((row, i) => [...row, texts[i]!]),
    most,
  )}`;
}

/** "node cam1 | 10.0.0.7, port 22 | 5000-5010, kind stream". */
function ruleText(rule: FirewallReply['rules'][number]['rule']): string {
  const parts = Object.entries(rule)
    .filter(([key]) => key !== 'action')
    .map(([key, value]) => {
      const values = typeof value === 'string' ? value : value.join(' | ');
      return `${key} ${values}`;
    });
  return parts.length === 0 ? 'everything' : parts.join(', ');
}
