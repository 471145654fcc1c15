/**
 * The group that may open the daemon's Unix socket: a name or number of the config to a group id.
 *
 * Looks names up in /etc/group, where local groups are; a group that a directory service alone
 * knows is given by number.
 */

import { readFileSync } from 'node:fs';

import { SpinesError } from '../../core/base/errors.ts';

const GROUPS = '/etc/group';
/** (gid_t) -1 means "leave it" to chown. */
const GID_MAX = 0xffff_fffe;

/** `text`: what a group of the config may look like. */
export function isGroup(text: string): boolean {
  return /^\d+$/.test(text)
    ? Number(text) <= GID_MAX
    : /^[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?$/.test(text);
}

/** Throws SpinesError ECONFIG for a name that nobody knows. */
export function groupIdOf(group: string, file = GROUPS): number {
  if (/^\d+$/.test(group)) return Number(group);
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // Without the file no name is known.
  }
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name === group && id !== undefined && /^\d+$/.test(id)) return Number(id);
  }
  throw new SpinesError(
    'ECONFIG',
    `client.group: ${file} has no group "${group}"; make it with \`groupadd ${group}\`, or give ` +
      `the group's number`,
  );
}
