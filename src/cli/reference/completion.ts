/**
 * `spines completion`: scripts for bash, zsh and fish that complete commands, flags and their
 * choices.
 *
 * Owns the three scripts, made of the table of commands. They ask no daemon and run no program, so
 * a tab costs nothing.
 */

import { Argument, type Command } from 'commander';

import { print } from '../terminal/output.ts';
import { isPath, tableOf, type CommandRow, type FlagRow, type Value } from './command-table.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const WHERE = `
Bash: spines completion bash > ~/.local/share/bash-completion/completions/spines
Zsh: spines completion zsh > "\${fpath[1]}/_spines"
Fish: spines completion fish > ~/.config/fish/completions/spines.fish`;

/** `all`: the program with all of its commands. */
export function registerCompletion(program: Command, all: () => Promise<Command>): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'whose').choices(SHELLS))
    .description('print a script that completes commands and flags')
    .addHelpText('after', WHERE)
    .action(async (shell: Shell) => print(completionFor(shell, tableOf(await all()))));
}

/** The script of a shell. */
export function completionFor(shell: Shell, rows: readonly CommandRow[]): string {
  return { bash, zsh, fish }[shell](rows);
}

/** Commands below a path, '' for those of the program. */
function below(rows: readonly CommandRow[], above: string): CommandRow[] {
  return rows.filter(({ path }) => path.slice(0, -1).join(' ') === above);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function namesOf({ short, long }: FlagRow): string[] {
  return [short, long].filter((name) => name !== null);
}

/** What of a value bash offers: words, files, or nothing. */
function bashValue(value: Value): string {
  if (value.choices.length > 0) return `words=${quoted(value.choices.join(' '))}`;
  return isPath(value) ? 'files=1' : 'words=';
}

function bash(rows: readonly CommandRow[]): string {
  const words = rows.map((row) => {
    const first = row.values[0];
    const inner = below(rows, row.path.join(' ')).map(({ path }) => path.at(-1)!);
    const flags = row.flags.flatMap(namesOf).join(' ');
    const takes = row.flags
      .filter(({ value }) => value !== null && !value.optional)
      .map(
        (flag) => `        ${namesOf(flag).join('|')}) ${bashValue(flag.value!)}; return 0 ;;\n`,
      );
    const rest =
      inner.length > 0
        ? `words=${quoted(inner.join(' '))}`
        : first === undefined
          ? 'words='
          : bashValue(first);
    return (
      `    ${quoted(row.path.join(' '))})\n      flags=${quoted(flags)}\n` +
      `      case "$2" in\n${takes.join('')}      esac\n      ${rest} ;;\n`
    );
  });
  const groups = rows.filter(({ group }) => group).map(({ path }) => path.join(' '));
  return `# bash completion for spines; made by \`spines completion bash\`
_spines_row() {
  flags= words= files=
  case "$1" in
    '') words=${quoted(
      below(rows, '')
        .map(({ path }) => path[0]!)
        .join(' '),
    )}; flags='-h --help -V --version' ;;
${words.join('')}  esac
}
_spines() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local path= word flags words files i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ $word == -* ]] && break
    case "$path" in
      '') path="$word" ;;
      ${groups.map(quoted).join('|') || quoted('/')}) path="$path $word" ;;
      *) break ;;
    esac
  done
  _spines_row "$path" "$prev"
  COMPREPLY=()
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $files ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
    compopt -o filenames 2>/dev/null
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _spines spines
`;
}

/** In the messages of zsh's _arguments ":" and "[" mean something. */
function zshText(text: string): string {
  return text.replace(/[\\:[\]]/g, (sign) => `\\${sign}`);
}

function zshValue(value: Value | null): string {
  if (value === null) return '';
  return `${value.optional ? '::' : ':'}${zshText(value.name)}:${zshAction(value)}`;
}

function zshAction(value: Value): string {
  if (value.choices.length > 0) return `(${value.choices.join(' ')})`;
  return isPath(value) ? '_files' : '';
}

function zsh(rows: readonly CommandRow[]): string {
  const called = (path: readonly string[]): string =>
    `_spines_${path.join('_').replaceAll('-', '_')}`;
  const dispatch = (above: string, inner: readonly CommandRow[]): string => {
    const list = inner
      .map(({ path, text }) => `    ${quoted(`${path.at(-1)!}:${zshText(text)}`)}\n`)
      .join('');
    const cases = inner.map(({ path }) => `        ${path.at(-1)!}) ${called(path)} ;;\n`).join('');
    return `${above}() {
  local -a commands
  commands=(
${list}  )
  local state line
  _arguments -C '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest)
      case $line[1] in
${cases}      esac ;;
  esac
}
`;
  };
  const functions = rows.map((row) => {
    if (row.group) return dispatch(called(row.path), below(rows, row.path.join(' ')));
    const flags = row.flags.flatMap((flag) =>
      namesOf(flag).map((name) => {
        return quoted(`*${name}[${zshText(flag.text)}]${zshValue(flag.value)}`);
      }),
    );
    const values = row.values.map((value, i) =>
      quoted(
        `${value.repeated ? '*' : i + 1}${value.optional && !value.repeated ? '::' : ':'}` +
          `${zshText(value.name)}:${zshAction(value)}`,
      ),
    );
    return `${called(row.path)}() {\n  _arguments ${[...flags, ...values].join(' \\\n    ')}\n}\n`;
  });
  return `#compdef spines
# zsh completion for spines; made by \`spines completion zsh\`
${functions.join('')}${dispatch('_spines', below(rows, ''))}_spines "$@"
`;
}

function fish(rows: readonly CommandRow[]): string {
  const lines = [
    '# fish completion for spines; made by `spines completion fish`',
    'complete -c spines -f',
  ];
  for (const row of rows) {
    const above = row.path.slice(0, -1);
    const siblings = below(rows, above.join(' ')).map(({ path }) => path.at(-1)!);
    const within =
      above.length === 0
        ? '__fish_use_subcommand'
        : `__fish_seen_subcommand_from ${above.at(-1)!}; and not ` +
          `__fish_seen_subcommand_from ${siblings.join(' ')}`;
    const name = row.path.at(-1)!;
    lines.push(`complete -c spines -n ${quoted(within)} -a ${quoted(name)} -d ${quoted(row.text)}`);
    if (row.group) continue;
    const here = row.path.map((part) => `__fish_seen_subcommand_from ${part}`).join('; and ');
    for (const flag of row.flags) {
      const names = namesOf(flag).map((one) =>
        one.startsWith('--') ? `-l ${one.slice(2)}` : `-s ${one.slice(1)}`,
      );
      lines.push(
        `complete -c spines -n ${quoted(here)} ${names.join(' ')} -d ${quoted(flag.text)}` +
          fishValue(flag.value),
      );
    }
    const first = row.values[0];
    if (first !== undefined && (first.choices.length > 0 || isPath(first)))
      lines.push(
        `complete -c spines -n ${quoted(here)}` +
          (first.choices.length > 0 ? ` -a ${quoted(first.choices.join(' '))}` : ' -F'),
      );
  }
  return `${lines.join('\n')}\n`;
}

function fishValue(value: Value | null): string {
  if (value === null) return '';
  const takes = value.optional ? '' : ' -r';
  if (value.choices.length > 0) return `${takes} -a ${quoted(value.choices.join(' '))}`;
  return takes + (isPath(value) ? ' -F' : '');
}
