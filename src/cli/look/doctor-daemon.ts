/**
 * What `spines doctor` finds about a daemon by its status: certificate, links, clocks, clones,
 * rules, bounds, what the system did not send, logs and processor. `spines status` begins with
 * those of them that want something done.
 */

import type { StatusReply } from 'spines-client';
import type { FirewallFigures, LogFigures, UnsentRow } from 'spines-client/protocol';

import { describeLogFailure } from '../../host/log/log-writer.ts';
import { formatMs } from '../terminal/table.ts';
import { clockFindings, linkFindings } from './doctor-links.ts';
import type { Finding } from './finding.ts';
import { TWIN_ADVICE, twinText } from './twins.ts';

const DAY_S = 86_400;
const SOON_DAYS = 30;
const LATE_MS = 50;

export function daemonFindings(status: StatusReply): Finding[] {
  const { name, node, version, identity, host, bounds, drops } = status;
  const days = identity === null ? null : Math.floor(identity.leftS / DAY_S);
  const findings: Finding[] = [
    { what: 'daemon', found: `${name} (${node}), version ${version}`, advice: null },
    {
      what: 'security',
      found:
        days === null
          ? 'none: anyone who reaches the UDP port can join, read and forge'
          : `sealed by ${identity!.primitives}, certificate ` +
            `${days < 0 ? 'EXPIRED' : `for another ${days} days`}`,
      advice:
        days === null
          ? 'make identities with `spines init`, and start the daemon with them'
          : days < SOON_DAYS
            ? 'renew the certificate: `spines keys sign`, then `spines reload`'
            : null,
    },
    ...linkFindings(status),
    ...clockFindings(status),
    ...(status.twins ?? []).map((twin) => ({
      what: 'identity',
      found: twinText(twin),
      advice: TWIN_ADVICE,
    })),
  ];
  if (status.firewall !== undefined && !status.firewall.open)
    findings.push(firewallFinding(status.firewall, drops));
  const full = Object.entries(bounds)
    .filter(([, [now, most]]) => now >= most)
    .map(([bound]) => bound);
  findings.push({
    what: 'bounds',
    found: full.length === 0 ? 'none reached' : `reached: ${full.join(', ')}`,
    advice:
      full.length === 0
        ? null
        : 'raise `limits` in its config, or see who uses it up with `spines sessions`',
  });
  findings.push(...(host?.unsent ?? []).map(sendingFinding));
  const log = host?.log ?? null;
  if (log !== null) findings.push(logFinding('log', log, 'log.file'));
  const audit = host?.audit?.log ?? null;
  if (audit !== null) findings.push(logFinding('audit', audit, 'log.audit'));
  if (host !== null) {
    const { p99, max } = host.timersLateMs;
    findings.push({
      what: 'processor',
      found:
        `timers late by ${formatMs(p99)} (99 %), ${formatMs(max)} at most, in the last ` +
        'minutes',
      advice:
        p99 < LATE_MS
          ? null
          : 'the daemon gets too little processor time: see what else runs here, or give it less ' +
            'to carry',
    });
  }
  return findings;
}

/**
 * Codes of the system, what they say of datagrams to somebody, and what to do. Old trouble is none:
 * rows are of the last minute.
 */
const UNSENT: readonly {
  readonly codes: readonly string[];
  readonly text: string;
  readonly advice: (host: string) => string;
}[] = [
  {
    codes: ['full', 'ENOBUFS', 'ENOMEM', 'EAGAIN'],
    text: 'the system took none for a while',
    advice: () => 'the network device is slower than the daemon: see its queue and its driver',
  },
  {
    codes: ['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EHOSTDOWN', 'ENODEV', 'ENXIO'],
    text: 'there is no way there',
    advice: (host) => `see \`ip route get ${host}\`, and whether the device and its cable are up`,
  },
  {
    codes: ['EPERM', 'EACCES'],
    text: 'this machine forbids it',
    advice: (host) =>
      `its own firewall refuses UDP to ${host}: allow that in the rules for what leaves`,
  },
  {
    codes: ['EINVAL', 'EADDRNOTAVAIL'],
    text: 'the address that they leave from has gone',
    advice: () => 'see `ip address`, and `listen` in its config',
  },
  {
    codes: ['noSocket'],
    text: 'no socket of that family',
    advice: (host) =>
      `add ${host.includes(':') ? '"[::]:PORT"' : '"0.0.0.0:PORT"'} to \`listen\` in its config`,
  },
];

function sendingFinding({ code, datagrams, to }: UnsentRow): Finding {
  const known = UNSENT.find(({ codes }) => codes.includes(code)),
    system = /^E[A-Z0-9]+$/.test(code) ? ` (${code})` : '';
  const host = to.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return {
    what: 'sending',
    found:
      `${datagrams} datagrams not sent in the last minute, the last to ${to}: ` +
      `${known?.text ?? 'the system refused them'}${system}`,
    advice: known?.advice(host) ?? `the system says ${code}: see its log`,
  };
}

function firewallFinding({ rules, proved }: FirewallFigures, drops: StatusReply['drops']): Finding {
  const refused = ['firewallDatagram', 'firewallStream', 'firewallTarget', 'firewallClient'].reduce(
    (sum, reason) => sum + (drops[reason] ?? 0),
    0,
  );
  return {
    what: 'firewall',
    found: `${rules} rule${rules === 1 ? '' : 's'}, ${refused} refused since the start`,
    advice: proved
      ? null
      : 'a source is what its packet says here, so a rule that names nodes or groups can be got ' +
        'round by whoever has a link in the overlay',
    ...(proved
      ? {}
      : {
          next:
            'where that matters use `security: sealed` and `secrecy: end-to-end` (both are ' +
            'the default), or routing byzantine',
        }),
  };
}

/** `key`: of the config, where another place can be named. */
function logFinding(what: string, { target, lost, failing }: LogFigures, key: string): Finding {
  const state = failing === null ? 'is written' : `waits: ${describeLogFailure(failing)}`;
  return {
    what,
    found: `${target} ${state}${lost === 0 ? '' : `, ${lost} lines lost since the start`}`,
    advice:
      failing === null
        ? null
        : failing === 'ENOSPC' || failing === 'EDQUOT'
          ? `free some space there, or name another \`${key}\``
          : `let somebody read it, or name a \`${key}\` in its config and \`spines reload\``,
  };
}
