/**
 * topologies/README.md as its readers use it: its YAML blocks are files or parts of one, and its
 * command lines name files, settings and flags that there are.
 */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';

import { buildProgram } from '../../../../src/cli/program.ts';
import { parseTopology } from '../../../../src/lab/topology/topology-parse.ts';
import { blocksOf } from '../../../support/pasted.ts';

const folder = new URL('../../../../topologies/', import.meta.url);
const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const README = textOf('README.md');
const LINES = [...README.matchAll(/^ {4}spines (.*?)(?: +#.*)?$/gm)].map((match) => match[1]!);
/** A file with the flows that the README's figure is about, without its own figure. */
const FIGURE_OF = textOf('dsn03/fig3.yaml').split('\nsweep:')[0]!;

const settingsOf = (line: string): string[] =>
  [...line.matchAll(/--set (?:'([^']*)'|(\S+))/g)].map((match) => match[1] ?? match[2]!);

/** Words that are flags, values left out. */
const flagsOf = (line: string): string[] =>
  [...line.matchAll(/(?<=\s)--[a-z-]+/g)].map((match) => match[0]);

async function commandOf(name: string): Promise<Command> {
  const program = await buildProgram({ command: null }, [name]);
  return program.commands.find((command) => command.name() === name)!;
}

describe('topologies/README.md', () => {
  test('every block of YAML is a topology, or a part of one', () => {
    const blocks = blocksOf(README).filter(({ language }) => language === 'yaml');
    expect(blocks).toHaveLength(2);
    for (const { line, text } of blocks) {
      const whole = /^nodes:/m.test(text) ? text : `${FIGURE_OF}\n${text}`;
      expect(() => parseTopology(whole, `README.md:${line}`)).not.toThrow();
    }
  });

  test('every setting in a command line is taken by the file that it names', () => {
    const replays = LINES.filter((line) => line.startsWith('replay '));
    expect(replays.length).toBeGreaterThan(4);
    for (const line of replays) {
      const file = line.split(' ')[1]!.replace(/^topologies\//, '');
      expect(() => parseTopology(textOf(file), file, settingsOf(line)), line).not.toThrow();
    }
    // In the prose.
    const prose = [...README.matchAll(/`(--set '[^`]*)`/g)].map((match) => match[1]!);
    expect(prose).not.toEqual([]);
    for (const settings of prose)
      expect(() =>
        parseTopology(textOf('pair.yaml'), 'pair.yaml', settingsOf(settings)),
      ).not.toThrow();
  });

  test('every flag in a command line is one of that command', async () => {
    for (const line of LINES) {
      const command = await commandOf(line.split(' ')[0]!);
      const known = command.options.map(({ long }) => long);
      for (const flag of flagsOf(line)) expect(known, line).toContain(flag);
    }
  });
});
