/** The tables of the dissector for Wireshark, as they must stand in its file. */

import { LAYOUTS, NAMES, NODE_FIELDS, type Layout } from '../../src/cli/capture/layouts.ts';

export const TABLES_BEGIN = '-- Tables of the codecs, compared with them by a test.\n';
export const TABLES_END = '-- End of the tables.\n';

/** What stands between TABLES_BEGIN and TABLES_END. */
export function dissectorTables(): string {
  const lines: string[] = ['local layouts = {'];
  for (const [structure, layout] of Object.entries<Layout>(LAYOUTS)) {
    lines.push(`  ${structure} = {`);
    for (const [name, [, bytes]] of Object.entries(layout))
      lines.push(`    { ${JSON.stringify(name)}, ${bytes} },`);
    lines.push('  },');
  }
  lines.push('}', 'local names = {');
  for (const [what, values] of Object.entries(NAMES)) {
    lines.push(`  ${what} = {`);
    for (const [value, name] of values) lines.push(`    [${value}] = ${JSON.stringify(name)},`);
    lines.push('  },');
  }
  lines.push('}', 'local node_fields = {');
  for (const name of NODE_FIELDS) lines.push(`  ${name} = true,`);
  lines.push('}', '');
  return lines.join('\n');
}
