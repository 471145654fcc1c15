/**
 * What is made of the tables of commands and configuration keys: completion in real shells, man
 * pages.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { buildProgram } from '../../../src/cli/program.ts';
import { flagText, tableOf, type CommandRow } from '../../../src/cli/reference/command-table.ts';
import { completionFor, SHELLS } from '../../../src/cli/reference/completion.ts';
import { manPages } from '../../../src/cli/reference/man.ts';
import { CONFIG_KEYS } from '../../../src/host/config/config-keys.ts';
import { fileSchema } from '../../../src/host/config/config-schema.ts';
import { LISTED_KEYS } from '../../../src/host/config/listed-keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-reference-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const has = (program: string, flag = '--version'): boolean =>
  spawnSync(program, [flag]).error === undefined;

let rows: CommandRow[] = [];
beforeAll(async () => {
  rows = tableOf(await buildProgram({ command: null }, []));
});

describe('the table of commands', () => {
  test('has every command with a description, hidden ones left out', () => {
    const names = rows.map(({ path }) => path.join(' '));
    expect(names).toEqual(expect.arrayContaining(['daemon', 'keys sign', 'link add', 'log level']));
    expect(names).not.toContain('reference');
    for (const { path, text, flags } of rows) {
      expect(text, path.join(' ')).not.toBe('');
      for (const flag of flags)
        expect(flag.text, `${path.join(' ')} ${flagText(flag)}`).not.toBe('');
    }
    const flags = rows.find(({ path }) => path[0] === 'daemon')!.flags;
    expect(flags.find(({ long }) => long === '--log-level')!.value!.choices).toContain('debug');
    expect(flags.some(({ long }) => long === '--exit-with-parent')).toBe(false);
  });

  test('is in the man pages', () => {
    const pages = manPages(rows, '1.2.3');
    expect(pages).toHaveLength(rows.length + 2);
    const minus = (text: string): string => text.replaceAll('-', '\\-');
    for (const row of rows) {
      const { text } = pages.find((page) => page.file === `spines-${row.path.join('-')}.1`)!;
      for (const flag of row.flags) expect(text).toContain(`\n.B ${minus(flagText(flag))}\n`);
      // Nothing of a text is a request of roff by mistake.
      for (const line of text.split('\n'))
        expect(line).toMatch(/^(?:\.(?:TH|SH|TP|B|BR|I) |\.TP$|[^.']|\\&|$)/);
    }
    const config = pages.at(-1)!.text;
    for (const { key } of CONFIG_KEYS) expect(config).toContain(`\n.B ${minus(key)}\n`);
  });

  test.runIf(has('mandoc', '-h'))('mandoc takes all pages', () => {
    const paths = manPages(rows, '1.2.3').map(({ file: name, text }) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    });
    const { stdout, stderr } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...paths]);
    const told = `${stdout}${stderr}`.split('\n').filter((line) => !/missing date|^$/.test(line));
    expect(told).toEqual([]);
  });

  test('the reference of the config file has each of its keys', () => {
    const told = [...LISTED_KEYS.map(([key]) => key), ...CONFIG_KEYS.map(({ key }) => key)];
    const first = new Set(told.flatMap((key) => key.split(', ')).map((key) => key.split('.')[0]!));
    expect(Object.keys(fileSchema.shape).filter((key) => !first.has(key))).toEqual([]);
    expect([...first].filter((key) => !(key in fileSchema.shape) && key !== '')).toEqual([]);
  });
});

describe('completion', () => {
  function script(shell: (typeof SHELLS)[number]): string {
    const path = join(folder, `spines.${shell}`);
    writeFileSync(path, completionFor(shell, rows));
    return path;
  }

  test.runIf(has('bash'))('bash offers commands, their commands, flags and choices', () => {
    const path = script('bash');
    const offered = (...words: string[]): string[] => {
      const ran = spawnSync(
        'bash',
        [
          '-c',
          `source ${path}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spines
           printf "%s\\n" "\${COMPREPLY[@]}"`,
          'x',
          'spines',
          ...words,
        ],
        { encoding: 'utf8', cwd: folder },
      );
      expect(ran.stderr).toBe('');
      return ran.stdout.trim().split('\n');
    };
    expect(offered('li')).toEqual(['links', 'link']);
    expect(offered('keys', 's')).toEqual(['sign', 'show']);
    expect(offered('keys', 'sign', '--for')).not.toContain('sign');
    expect(offered('daemon', '--log-l')).toEqual(['--log-level']);
    expect(offered('daemon', '--log-level', 'de')).toEqual(['debug']);
    expect(offered('log', 'level', 'w')).toEqual(['warn']);
    expect(offered('daemon', '--config', 'spines.b')).toEqual(['spines.bash']);
    expect(offered('link', 'add', '--sa')).toEqual(['--save']);
    expect(offered('nonsense', '')).toEqual(['']);
  });

  test.runIf(has('fish'))('fish offers the same', () => {
    const path = script('fish');
    const offered = (line: string): string[] =>
      spawnSync('fish', ['-N', '-c', `source ${path}; complete -C ${JSON.stringify(line)}`], {
        encoding: 'utf8',
      })
        .stdout.trim()
        .split('\n')
        .map((row) => row.split('\t')[0]!);
    expect(offered('spines li').sort()).toEqual(['link', 'links']);
    expect(offered('spines keys si')).toEqual(['sign']);
    expect(offered('spines daemon --log-level de')).toEqual(['debug']);
  });

  test.runIf(has('zsh'))('zsh reads its script', () => {
    const { status, stderr } = spawnSync('zsh', ['-n', script('zsh')], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });

  test('texts with quotes and colons stay texts', () => {
    const odd: CommandRow = {
      path: ['x'],
      text: "it's [a]: $HOME `id` \\ text",
      values: [{ name: 'file', choices: [], optional: false, repeated: true }],
      flags: [{ short: '-a', long: null, value: null, text: "don't" }],
      group: false,
    };
    for (const shell of SHELLS) {
      const path = join(folder, `odd.${shell}`);
      writeFileSync(path, completionFor(shell, [odd]));
      if (!has(shell)) continue;
      const { status, stderr } = spawnSync(shell, ['-n', path], { encoding: 'utf8' });
      expect([shell, status, stderr]).toEqual([shell, 0, '']);
    }
  });
});
