/**
 * tshark with the dissector that the package ships: what it makes of a capture file, field by
 * field.
 */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const DISSECTOR = fileURLToPath(
  new URL('../../examples/wireshark/spines.lua', import.meta.url),
);

/** Null where it is not installed: tests that need it are skipped. */
export const TSHARK: string | null =
  spawnSync('tshark', ['--version'], { encoding: 'utf8' }).status === 0 ? 'tshark' : null;

export interface Shown {
  /** As in "spines.hello.loss", with its value as text, in the order of the packet. */
  readonly fields: readonly (readonly [string, string])[];
  /** All that tshark shows by name, its own included; of several the last. */
  readonly all: ReadonlyMap<string, string>;
  readonly info: string;
}

/** A process that was given that file, and what it printed. Throws where it failed. */
export function tshark(file: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(
    'tshark',
    ['-n', '-X', `lua_script:${DISSECTOR}`, '-r', file, ...args],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const said = stderr.replace(/^Running as user "root".*\n/m, '');
  if (status !== 0 || said.trim() !== '') throw new Error(`tshark exited with ${status}: ${said}`);
  return stdout;
}

/** Each packet of the file. */
export function shownBy(file: string): Shown[] {
  const infos = tshark(file, '-T', 'fields', '-e', '_ws.col.Info').split('\n');
  return tshark(file, '-T', 'pdml')
    .split('<packet>')
    .slice(1)
    .map((packet, i) => {
      const found = [...packet.matchAll(/<(?:field|proto) name="([^"]*)"([^>]*)>/g)];
      return {
        fields: found
          .filter(([, name]) => name!.startsWith('spines.'))
          .map(([, name, rest]) => [name!, shownAs(rest!)] as const),
        all: new Map(found.map(([, name, rest]) => [name!, shownAs(rest!)])),
        info: infos[i]!,
      };
    });
}

function shownAs(attributes: string): string {
  const show = / show="([^"]*)"/.exec(attributes)?.[1] ?? '';
  return /^[0-9a-f]{2}(:[0-9a-f]{2})*$/.test(show) ? show.replaceAll(':', '') : unescaped(show);
}

function unescaped(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
}
