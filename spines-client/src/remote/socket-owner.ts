/**
 * Whose Unix socket a path leads to: a client sends what it has to say, and believes the answers,
 * only where nobody else can have put one.
 *
 * In /tmp anybody may make `spines.sock` first. So a socket, and the folder that it is in, must
 * belong to who runs the program, to root, or to the user that SPINES_SOCKET_OWNER names; and where
 * others may write to the folder it must keep their hands off what is not theirs (the sticky bit).
 * A service's folder directly in /run may be the service's: root alone can have made it there. Owns
 * no connection. What is not there, or cannot be looked at, is left to the connection to find.
 */

import { readFileSync, realpathSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';

/** The user of the daemon where that is another one: a name of this machine, or a number. */
export const OWNER_VARIABLE = 'SPINES_SOCKET_OWNER';
const SERVICE_FOLDER = /^(?:\/var)?\/run$/;
const STICKY = 0o1000,
  OTHERS_WRITE = 0o002;

/** Who is asked for, so that tests can be anybody. */
export interface Whoami {
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user with that number, null where it is not known. */
  nameOf(uid: number): string | null;
}

/**
 * Why nothing should be said to who listens at `path`, with the next step; null when all is well.
 */
export function socketOwnerFault(path: string, who: Whoami | null = whoami()): string | null {
  if (who === null) return null;
  let socket: Stats, folder: Stats, place: string;
  try {
    const real = realpathSync(path);
    place = dirname(real);
    [socket, folder] = [statSync(real), statSync(place)];
  } catch {
    return null;
  }
  const named = who.env[OWNER_VARIABLE] ?? '';
  // Whoever runs a command by sudo means his own daemon as well.
  const sudo = who.uid === 0 ? Number(who.env['SUDO_UID'] ?? NaN) : NaN;
  const nameOf = (uid: number): string => who.nameOf(uid) ?? `user ${uid}`;
  const trusted = (uid: number): boolean =>
    uid === 0 ||
    uid === who.uid ||
    uid === sudo ||
    (named !== '' && (named === String(uid) || named === who.nameOf(uid)));
  const ofService = SERVICE_FOLDER.test(dirname(place)) && socket.uid === folder.uid;
  const next = (uid: number): string =>
    `if that is the daemon's user, set ${OWNER_VARIABLE}=${who.nameOf(uid) ?? uid}; else ask its ` +
    'owner which path is right';
  if (!trusted(socket.uid) && !ofService)
    return (
      `${path} belongs to ${nameOf(socket.uid)}, not to you or root: what is sent there, ` +
      `they may read; ${next(socket.uid)}`
    );
  if (!trusted(folder.uid) && !ofService)
    return (
      `the folder of ${path} belongs to ${nameOf(folder.uid)}, not to you or root: they may ` +
      `put another socket there; ${next(folder.uid)}`
    );
  if ((folder.mode & OTHERS_WRITE) !== 0 && (folder.mode & STICKY) === 0) {
    return (
      `everybody may write to the folder of ${path} and put another socket there; \`chmod ` +
      `o-w ${place}\`, or use another folder`
    );
  }
  return null;
}

/** Null on systems without users of this kind. */
function whoami(): Whoami | null {
  if (process.getuid === undefined) return null;
  return { uid: process.geteuid!(), env: process.env, nameOf: nameOfUser };
}

/** From the system's table; users of a directory service have their numbers only. */
function nameOfUser(uid: number): string | null {
  try {
    return (
      new RegExp(`^([^:]+):[^:]*:${uid}:`, 'm').exec(readFileSync('/etc/passwd', 'utf8'))?.[1] ??
      null
    );
  } catch {
    return null;
  }
}
