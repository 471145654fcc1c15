/**
 * The table of configuration keys: complete, in the file and in the README as the rows say.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { defaultConfig } from '../../../../src/core/node/config.ts';
import { formatEffective, loadConfigFile } from '../../../../src/host/config/config-file.ts';
import { CONFIG_KEYS, tableOfKeys, valueInForce } from '../../../../src/host/config/config-keys.ts';

const README = fileURLToPath(new URL('../../../../README.md', import.meta.url));
const START = 'id: 10.0.0.1\nsecurity: none\n';
/** Set by lists, certificates or rules, or for laboratories that build a node themselves. */
const WITHOUT_ROW = ['name', 'dials', 'neighbours', 'firewall', 'wireVersions', 'capabilities'];

describe('configuration keys', () => {
  test('every value of a node has a row, and every row a value', () => {
    const values = Object.entries(defaultConfig)
      .filter(([name]) => !WITHOUT_ROW.includes(name))
      .flatMap(([name, value]) =>
        typeof value === 'object' && value !== null
          ? Object.keys(value).map((inner) => `${name}.${inner}`)
          : [name],
      );
    expect(CONFIG_KEYS.map(({ at }) => at as string).sort()).toEqual(values.sort());
    expect(new Set(CONFIG_KEYS.map(({ key }) => key)).size).toBe(CONFIG_KEYS.length);
  });

  test.each(CONFIG_KEYS)(
    '$key: its default, written as it is shown, is read as the same',
    (row) => {
      const { node } = loadConfigFile(START, 'd.yaml');
      const value = valueInForce(node, row);
      expect(value).toEqual(valueInForce({ ...defaultConfig, id: 1 }, row));
      const shown = row.text(value);
      if (value !== null) {
        const line = row.key
          .split('.')
          .reduceRight((inner, name) => `{${name}: ${inner}}`, String(shown));
        const read = loadConfigFile(`${START}${line.slice(1, -1)}`, 'd.yaml');
        expect(valueInForce(read.node, row)).toEqual(value);
        expect(formatEffective(read)).toContain(`${row.key.split('.').at(-1)}: `);
      }
      expect(() =>
        loadConfigFile(
          `${START}${row.key.replace('.', ': {')}: []${row.key.includes('.') ? '}' : ''}`,
          'd.yaml',
        ),
      ).toThrow(row.key);
    },
  );

  test("README's table is made of the rows", () => {
    const lines = tableOfKeys();
    const missing = lines.filter((line) => !readFileSync(README, 'utf8').includes(`${line}\n`));
    expect(missing, 'put these lines into the table of README.md').toEqual([]);
    expect(readFileSync(README, 'utf8')).toContain(lines.join('\n'));
  });
});
