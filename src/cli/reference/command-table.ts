/**
 * The commands of `spines` as a table: what each takes, by which flags, and what may stand there.
 *
 * Made of the commander program that runs them, so that completion, man pages and reference say
 * what the program does. Hidden commands and flags are left out.
 */

import type { Argument, Command, Option } from 'commander';

/** What may be typed in a place. */
export interface Value {
  /** As in the usage: "file", "host:port". */
  readonly name: string;
  /** Empty: anything. */
  readonly choices: readonly string[];
  readonly optional: boolean;
  readonly repeated: boolean;
}

export interface FlagRow {
  /** "-c" or null; "--count" or null. */
  readonly short: string | null;
  readonly long: string | null;
  /** Null: it takes none. */
  readonly value: Value | null;
  readonly text: string;
}

export interface CommandRow {
  /** Without "spines": ["keys", "sign"]. */
  readonly path: readonly string[];
  readonly text: string;
  readonly values: readonly Value[];
  readonly flags: readonly FlagRow[];
  /** It has commands of its own and does nothing by itself. */
  readonly group: boolean;
}

/** Every command, each before its own commands, in the order of the help. */
export function tableOf(program: Command): CommandRow[] {
  return program.commands.flatMap((command) => rowsOf(command, []));
}

function rowsOf(command: Command, above: readonly string[]): CommandRow[] {
  if (isHidden(command)) return [];
  const path = [...above, command.name()];
  const help: FlagRow = { short: '-h', long: '--help', value: null, text: 'display help' };
  const row: CommandRow = {
    path,
    text: command.description(),
    values: command.registeredArguments.map(valueOfArgument),
    flags: [...command.options.filter(({ hidden }) => !hidden).map(flagOf), help],
    group: command.commands.length > 0,
  };
  return [row, ...command.commands.flatMap((inner) => rowsOf(inner, path))];
}

/** Commander keeps it to itself. */
function isHidden(command: Command): boolean {
  return (command as Command & { readonly _hidden?: boolean })._hidden === true;
}

function valueOfArgument(argument: Argument): Value {
  return {
    name: argument.name(),
    choices: argument.argChoices ?? [],
    optional: !argument.required,
    repeated: argument.variadic,
  };
}

function flagOf(option: Option): FlagRow {
  const written = /[<[]([^>\]]+?)(?:\.\.\.)?[>\]]/.exec(option.flags);
  return {
    short: option.short ?? null,
    long: option.long ?? null,
    value:
      written === null
        ? null
        : {
            name: written[1]!,
            choices: option.argChoices ?? [],
            optional: option.optional,
            repeated: option.variadic,
          },
    text: option.description,
  };
}

/** Values that are files or folders of this machine, by their names in the usage. */
export function isPath({ name }: Value): boolean {
  return /(?:file|path|dir|folder|config|certificate|request|key)$/.test(name);
}

/** "spines keys sign [options] <request>" */
export function usageOf({ path, values, flags, group }: CommandRow): string {
  const parts = ['spines', ...path];
  if (flags.length > 1) parts.push('[options]');
  for (const { name, optional, repeated } of values) {
    const many = repeated ? '...' : '';
    parts.push(optional ? `[${name}${many}]` : `<${name}${many}>`);
  }
  if (group) parts.push('<command>');
  return parts.join(' ');
}

/** "-c, --count <n>" */
export function flagText({ short, long, value }: FlagRow): string {
  const names = [short, long].filter((name) => name !== null).join(', ');
  if (value === null) return names;
  return `${names} ${value.optional ? `[${value.name}]` : `<${value.name}>`}`;
}
