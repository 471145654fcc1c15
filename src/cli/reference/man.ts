/**
 * Man pages of `spines`, its commands and its config file, and the reference of all flags: made of
 * the table of commands and the table of configuration keys.
 *
 * Pages are for the macros of man(7), checked with mandoc; the reference has the same in Markdown.
 */

import { CONFIG_KEYS, valueInForce } from '../../host/config/config-keys.ts';
import { defaultsOf, LISTED_KEYS } from '../../host/config/listed-keys.ts';
import { flagText, usageOf, type CommandRow } from './command-table.ts';

export interface ManPage {
  /** "spines-ping.1" */
  readonly file: string;
  readonly text: string;
}

const ENVIRONMENT: readonly (readonly [name: string, text: string])[] = [
  ['SPINES_SOCKET', "the daemon's Unix socket, where --socket does not name one"],
  ['SPINES_TOKEN_FILE', "the daemon's token file, for --tcp"],
  ['SPINES_SOCKET_OWNER', 'another user whose sockets are trusted'],
  ['SPINES_PASSPHRASE', 'opens a private key; taken out of the environment at the start'],
  ['COLUMNS', 'how wide tables and texts may be; else the terminal, or 80'],
  ['NO_COLOR', 'no colours'],
];

const EXITS: readonly (readonly [code: string, text: string])[] = [
  ['0', 'done'],
  ['1', 'the answer is no: unreachable, unknown, unanswered'],
  ['2', 'wrong usage, config or topology file'],
  ['3', 'no daemon to talk to'],
];

/** All pages. `version`: of the package. */
export function manPages(rows: readonly CommandRow[], version: string): ManPage[] {
  return [
    { file: 'spines.1', text: overview(rows, version) },
    ...rows.map((row) => ({
      file: `spines-${row.path.join('-')}.1`,
      text: commandPage(row, rows, version),
    })),
    { file: 'spines.yaml.5', text: configPage(version) },
  ];
}

/** In Markdown, a line each: every command with its flags. */
export function optionsReference(rows: readonly CommandRow[]): string[] {
  return rows.flatMap((row) => [
    `## spines ${row.path.join(' ')}`,
    '',
    `\`${usageOf(row)}\`: ${row.text}.`,
    '',
    ...(row.flags.length <= 1
      ? []
      : [
          '| Flag | Meaning |',
          '|---|---|',
          ...row.flags
            .filter(({ long }) => long !== '--help')
            .map((flag) => `| \`${flagText(flag)}\` | ${cell(meaningOf(flag))} |`),
          '',
        ]),
  ]);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function meaningOf({ text, value }: { text: string; value: CommandRow['values'][number] | null }) {
  return value === null || value.choices.length === 0
    ? text
    : `${text}; one of ${value.choices.join(', ')}`;
}

/** Text in which nothing is a request of roff: "-" is a minus, a leading "." or "'" a letter. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

function head(name: string, section: number, version: string, what: string): string {
  return (
    `.TH ${name.toUpperCase()} ${section} "" "spines ${version}" "Spines"\n.SH NAME\n` +
    `${roff(name)} \\- ${roff(what)}\n`
  );
}

/** A term and what it means, one paragraph each. */
function terms(pairs: readonly (readonly [term: string, text: string])[]): string {
  return pairs.map(([term, text]) => `.TP\n.B ${roff(term)}\n${roff(text)}\n`).join('');
}

function overview(rows: readonly CommandRow[], version: string): string {
  return (
    head('spines', 1, version, 'overlay network: daemons, links, and what looks at them') +
    '.SH SYNOPSIS\n.B spines\n.I command\n[options]\n.SH COMMANDS\n' +
    terms(
      rows
        .filter(({ path }) => path.length === 1)
        .map(({ path, text }) => [path[0]!, `${text}; spines-${path[0]!}(1)`]),
    ) +
    `.SH ENVIRONMENT\n${terms(ENVIRONMENT)}.SH EXIT STATUS\n${terms(EXITS)}` +
    '.SH SEE ALSO\n.BR spines.yaml (5)\n'
  );
}

function commandPage(row: CommandRow, rows: readonly CommandRow[], version: string): string {
  const name = `spines-${row.path.join('-')}`;
  const inner = rows.filter(({ path }) => path.slice(0, -1).join(' ') === row.path.join(' '));
  return (
    head(name, 1, version, row.text) +
    `.SH SYNOPSIS\n.B ${roff(usageOf(row))}\n` +
    (inner.length === 0
      ? ''
      : `.SH COMMANDS\n${terms(
          inner.map(({ path, text }) => [path.at(-1)!, `${text}; spines-${path.join('-')}(1)`]),
        )}`) +
    `.SH OPTIONS\n${terms(row.flags.map((flag) => [flagText(flag), meaningOf(flag)]))}` +
    `.SH EXIT STATUS\n${terms(EXITS)}.SH SEE ALSO\n.BR spines (1),\n.BR spines.yaml (5)\n`
  );
}

const CONFIG_TEXT =
  'YAML. `spines config check FILE` says what is wrong, with line and column, `spines config ' +
  'show ' +
  'FILE` what is in force. Relative paths are meant from the file.';

function configPage(version: string): string {
  const node = defaultsOf();
  return (
    head('spines.yaml', 5, version, 'configuration of a daemon') +
    '.SH DESCRIPTION\n' +
    `${roff(CONFIG_TEXT)}\n` +
    `.SH KEYS OF FILES, LISTS AND DOORS\n${terms(LISTED_KEYS)}.SH KEYS OF ONE VALUE\n` +
    terms(
      CONFIG_KEYS.map((row): [string, string] => {
        const value = valueInForce(node, row);
        return [
          row.key,
          `${row.meaning}. May be: ${row.range}.` +
            (value === null ? '' : ` Default: ${String(row.text(value))}.`) +
            (row.live ? ' A reload may change it.' : ''),
        ];
      }),
    ) +
    '.SH SEE ALSO\n.BR spines (1),\n.BR spines\\-config (1)\n'
  );
}
