/** Schemas of what commands print: published as they are made, and there for each command. */

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';

import { buildProgram } from '../../../src/cli/program.ts';
import { tableOf, type CommandRow } from '../../../src/cli/reference/command-table.ts';
import { PRINTED, schemasText } from '../../../src/cli/reference/json-schemas.ts';
import { Types, type Schema } from '../../../src/cli/reference/type-schemas.ts';
import { faultsOf } from '../../support/json-schema.ts';

/** What they print is no state of a daemon: packets, folders, keys, reports, figures of a talk. */
const OTHERS = ['capture', 'demo', 'figures', 'init', 'keys', 'replay', 'talk', 'top'];

const text = schemasText();
let rows: CommandRow[] = [];
beforeAll(async () => {
  rows = tableOf(await buildProgram({ command: null }, []));
});

describe('schemas', () => {
  test('are published as they are made', () => {
    const published = readFileSync(
      new URL('../../../spines-client/schemas.json', import.meta.url),
      'utf8',
    );
    expect(published === `${text}\n`, 'spines reference schemas > spines-client/schemas.json').toBe(
      true,
    );
  });

  test('are there for each command with --json', () => {
    const printed = new Set(Object.keys(PRINTED).map((name) => name.split(' --')[0]));
    const missing = rows
      .filter(({ flags }) => flags.some(({ long }) => long === '--json'))
      .map(({ path }) => path)
      .filter(([first]) => !OTHERS.includes(first!))
      .map((path) => path.join(' '))
      .filter((name) => !printed.has(name));
    expect(missing).toEqual([]);
    for (const name of printed)
      expect(
        rows.some(({ path }) => path.join(' ') === name),
        name,
      ).toBe(true);
  });

  test('refer to nothing that is not there', () => {
    const { $defs } = JSON.parse(text) as { $defs: object };
    const used = [...text.matchAll(/#\/\$defs\/(\w+)/g)].map(([, name]) => name!);
    expect(new Set(used)).toEqual(new Set(Object.keys($defs)));
  });
});

describe('a type', () => {
  const of = (type: string, source = ''): Schema => {
    const types = new Types([source]);
    return types.resolved(types.schema(type));
  };

  test.each<[string, Schema]>([
    ['string | null', { anyOf: [{ type: 'string' }, { type: 'null' }] }],
    ['\'a\' | "b" | 3', { enum: ['a', 'b', 3] }],
    ["| 'a'", { const: 'a' }],
    [
      'readonly (number | boolean)[]',
      {
        type: 'array',
        items: { anyOf: [{ type: 'number' }, { type: 'boolean' }] },
      },
    ],
    [
      '[number, string]',
      {
        type: 'array',
        prefixItems: [{ type: 'number' }, { type: 'string' }],
        items: false,
      },
    ],
    ['Readonly<Record<string, 1>>', { type: 'object', additionalProperties: { const: 1 } }],
    [
      '{ a?: number; readonly b: unknown }',
      {
        type: 'object',
        properties: { a: { type: 'number' }, b: {} },
        required: ['b'],
      },
    ],
  ])('%s', (type, schema) => expect(of(type)).toEqual(schema));

  test('of several declarations is put together', () => {
    const source = `
/** One. */
export interface A {
    /** Its name. */
    name: string;
}
interface B extends A { kind: (typeof KINDS)[number]['name']; }
const KINDS = [{ name: 'x', no: null }, { name: 'y', no: 'z' }] as const;
export type C = { at: number } & (A | { kind: 'z' });
type D = B['kind'];
`;
    expect(of('B', source)).toEqual({
      type: 'object',
      properties: {
        name: { type: 'string', description: 'Its name.' },
        kind: { enum: ['x', 'y'] },
      },
      required: ['name', 'kind'],
    });
    expect(of('C', source).anyOf!.map(({ required }) => required)).toEqual([
      ['at', 'name'],
      ['at', 'kind'],
    ]);
    expect(of('D', source)).toEqual({ enum: ['x', 'y'] });
    expect(of("Pick<B, 'kind'>", source)).toMatchObject({ required: ['kind'] });
    for (const wrong of ['E', '() => void', 'keyof B', 'A[0]', "A['x']", '{ f(): void }', ''])
      expect(() => of(wrong, source), wrong).toThrow();
  });

  test('has faults told with their place', () => {
    const types = new Types(["interface A { a: number[]; b?: { c: 'x' | null } }"]);
    const schema = types.schema('A');
    const told = (value: unknown): string[] => faultsOf(value, schema, types.defsOf([schema]));
    expect(told({ a: [1], b: { c: null } })).toEqual([]);
    expect(told({ a: [1, '2'], d: 1 })).toEqual([
      '$.a[1]: is of type string, not number',
      '$.d: is in no schema',
    ]);
    expect(told({ b: { c: 'y' } })).toEqual(['$.a: is missing', '$.b.c: "y" is not "x"']);
  });
});
