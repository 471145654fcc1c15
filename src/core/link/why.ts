/**
 * What a person is told of a neighbour without a link: the cause in a few words, in a sentence, and
 * what to do next.
 *
 * Owns the sentences; the reasons are dial-outcome.ts's. Names, not quads, wherever they are known.
 * Called for logs and for `links`, `status` and `doctor`.
 */

import { formatSpan, formatTime } from '../base/calendar.ts';
import type { Endpoint } from '../base/datagram.ts';
import { SECOND, type Micros } from '../base/time.ts';
import type { Trust } from '../crypto/certificates.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { Trouble, WhyCode } from './dial-outcome.ts';

export interface WhyText {
  /** A few words, for a column. */
  readonly short: string;
  readonly why: string;
  /** What to do. */
  readonly next: string;
}

/** What the sentences need to know. */
export interface WhyScene {
  /** The neighbour's name, or its address where it has none yet. */
  readonly peer: string;
  readonly endpoint: Endpoint;
  /** This daemon's name. */
  readonly self: string;
  /** Name of whom a detail means; null: it has none. */
  readonly other: string | null;
  /** Seconds since 1970, by this machine's clock. */
  readonly nowS: number;
  readonly trust: Trust | null;
  /** Address of the link that the same node has. */
  readonly linkAddress: string;
  /** What ended the link that there was, '' for none. */
  readonly ended: string;
  readonly sealed: boolean;
}

const RENEW =
  'sign its request again with `spines keys sign`, put the new certificate in its place, and run ' +
  '`spines reload` there';
const PRESHARED =
  "give both the file of the network's key in `network.presharedKey`, and run `spines reload` on " +
  'both';
const CLOCKS =
  'compare the clocks of both machines (`date -u`), and set the wrong one, or let NTP do it';

export function explain(trouble: Trouble, scene: WhyScene): WhyText {
  return (
    unheardText(trouble, scene) ??
    refusedText(trouble, scene) ??
    answererText(trouble, scene) ??
    certifiedText(trouble, scene) ??
    certificateText(trouble.code, trouble, scene)
  );
}

function whoseOf({ certificate }: Trouble, { peer }: WhyScene): string {
  return certificate === null || certificate === undefined ? peer : certificate.name;
}

/** Nothing comes back, or nothing gets out. */
function unheardText(trouble: Trouble, scene: WhyScene): WhyText | null {
  const {
    peer,
    endpoint: { address, port, key: at },
  } = scene;
  switch (trouble.code) {
    case 'silent': {
      const before =
        scene.ended === ''
          ? 'nothing has ever come back from there'
          : `its link ended: ${scene.ended}`;
      return {
        short: 'no answer',
        why: `no answer from ${peer === at ? at : `${peer} at ${at}`}; ${before}`,
        next: `see that ${peer} runs there, and that UDP port ${port} is let through both ways`,
      };
    }
    case 'unheard':
      return {
        short: 'refused',
        why:
          `${peer} at ${at} is there and leaves our calls unanswered: it refuses them, or ` +
          'only small datagrams get there',
        next: `look into the log of ${peer} for "call refused", which says why`,
      };
    case 'oneWay':
      return {
        short: 'one way',
        why: `calls of ${peer} arrive here, and our answers do not arrive there`,
        next: `see what drops UDP from this machine to ${at}: a firewall here, there or between`,
      };
    case 'portClosed':
      return {
        short: 'port closed',
        why: `nothing listens on UDP ${at}, the machine there says`,
        next: `start ${peer} there, or correct its address in \`links\``,
      };
    case 'unreachable':
      return {
        short: 'unreachable',
        why: `the network has no way to ${address}`,
        next: `check the address, and the routes of this machine: \`ip route get ${address}\``,
      };
    case 'forbidden':
      return {
        short: 'forbidden',
        why: `this machine does not let UDP out to ${at}`,
        next: 'look at its own firewall: `nft list ruleset`, or `iptables -S OUTPUT`',
      };
    case 'noSocket': {
      const family = address.includes(':') ? 'IPv6' : 'IPv4';
      return {
        short: `no ${family} socket`,
        why: `${at} is an ${family} address, and this daemon listens on none`,
        next:
          `add one to \`listen\`, such as "${family === 'IPv6' ? '[::]' : '0.0.0.0'}:8100", ` +
          'and restart',
      };
    }
    case 'nameUnknown':
      return {
        short: 'name unknown',
        why: `the name of its host is not found: ${trouble.said ?? 'not looked up yet'}`,
        next: 'correct it in `links`, or see why it is not found here: `getent hosts NAME`',
      };
    default:
      return null;
  }
}

/** The peer says no, or speaks in another way. */
function refusedText(trouble: Trouble, scene: WhyScene): WhyText | null {
  const {
    peer,
    endpoint: { key: at },
  } = scene;
  const { said } = trouble;
  switch (trouble.code) {
    case 'refused':
      return {
        short: 'refused',
        why: `${peer} at ${at} refuses: it says ${said ?? 'no reason'}`,
        next: `its log says more: look there for "call refused"`,
      };
    case 'twin':
      return {
        short: 'cloned identity',
        why: `${peer} at ${at} refuses: it says ${said ?? 'that this identity runs twice'}`,
        next:
          'stop one of the two daemons, or give it an identity of its own: `spines keys node ' +
          'NAME --id QUAD`',
      };
    case 'wireVersion':
      return {
        short: 'wire version',
        why:
          `${peer} at ${at} and this daemon have no wire version in ` +
          `common${said === null || said === undefined ? '' : `: it says ${said}`}`,
        next: 'upgrade the older of the two: this release and the one before it work together',
      };
    case 'presharedKey':
      return {
        short: 'pre-shared key',
        why: `${peer} at ${at} refuses: it says ${said ?? 'that it has another pre-shared key'}`,
        next: PRESHARED,
      };
    case 'peerPresharedKey':
      return {
        short: 'pre-shared key',
        why:
          `${whoseOf(trouble, scene)} has no pre-shared key in common with this daemon: ` +
          `${said ?? 'it has another'}`,
        next: PRESHARED,
      };
    case 'otherSecurity':
      return {
        short: 'other security',
        why: scene.sealed
          ? `${peer} at ${at} runs with security: none, and this daemon is sealed`
          : `${peer} at ${at} is sealed, and this daemon runs with security: none`,
        next:
          'give both identities (`spines init`), or in a laboratory start both with ' +
          '`security: none`',
      };
    default:
      return null;
  }
}

/** Somebody else answers, or nothing more is wanted. */
function answererText(trouble: Trouble, scene: WhyScene): WhyText | null {
  const {
    peer,
    endpoint: { key: at },
    self,
    other,
  } = scene;
  switch (trouble.code) {
    case 'wrongKey':
      return other === null
        ? {
            short: 'wrong key',
            why: `who answers at ${at} has another key than the one given here for ${peer}`,
            next:
              `if ${peer} has new keys, copy its certificate here and run \`spines reload\`; ` +
              'else correct the address',
          }
        : {
            short: 'wrong key',
            why: `${other} answers at ${at}, by its key, and not ${peer}`,
            next: `correct the address of ${peer}, or the key or certificate, in \`links\``,
          };
    case 'clone':
      return {
        short: 'cloned identity',
        why: `another daemon with the identity of this one, ${self}, answers at ${at}`,
        next: 'give each machine an identity of its own: `spines keys node NAME --id QUAD`',
      };
    case 'otherNode':
      return {
        short: 'other node',
        why: `${other ?? 'another node'} answers at ${at}, and not ${peer}`,
        next: `correct the address of ${peer} in \`links\``,
      };
    case 'self':
      return {
        short: 'own address',
        why: `${at} is this daemon itself`,
        next: 'remove it from `links`, or correct the address',
      };
    case 'sameNode':
      return {
        short: 'same node',
        why: `${at} is ${other ?? peer} too, which has its link by ${scene.linkAddress}`,
        next: 'nothing has to be done: it takes over when that link goes down; one entry is enough',
      };
    case 'tableFull':
      return {
        short: 'too many links',
        why: '`limits.links` of this daemon is reached',
        next: 'raise it, or remove neighbours',
      };
    default:
      return null;
  }
}

/** What the peer's certificate is, whatever the time. */
function certifiedText(trouble: Trouble, scene: WhyScene): WhyText | null {
  const {
    peer,
    endpoint: { key: at },
  } = scene;
  const whose = whoseOf(trouble, scene);
  switch (trouble.code) {
    case 'peerOtherNetwork':
      return {
        short: 'other network',
        why: `who answers at ${at} (it says ${whose}) belongs to another network`,
        next: 'compare the network ids of both with `spines keys show`',
      };
    case 'peerUnknownAuthority':
      return {
        short: 'authority',
        why:
          `who answers at ${at} (it says ${whose}) has a certificate of an authority that is ` +
          'not trusted here',
        next: 'if it should be, add its file to `identity.authorities` and run `spines reload`',
      };
    case 'peerForged':
      return {
        short: 'bad certificate',
        why: `who answers at ${at} shows a certificate that was altered, or is another's`,
        next: `copy the certificate of ${peer} from its authority again`,
      };
    case 'peerRole':
      return {
        short: 'no router',
        why: `the certificate of ${whose} is for clients, not for a daemon`,
        next: 'sign its request again with the role router',
      };
    default:
      return null;
  }
}

/** Time and revocation, of the peer's certificate or our own. */
function certificateText(
  code: WhyCode,
  { certificate, aheadUs }: Trouble,
  { peer, self, nowS, trust }: WhyScene,
): WhyText {
  const own = code.startsWith('own');
  const name = own ? self : (certificate?.name ?? peer);
  const theirs = own ? `this daemon's own certificate (${self})` : `the certificate of ${name}`;
  const clock = `this machine's clock says ${formatTime(nowS)}`;
  const peerClock =
    aheadUs === null || aheadUs === undefined || Math.abs(aheadUs) < 60 * SECOND
      ? ''
      : `; the clock of ${peer} is ${clockText(aheadUs)}`;
  switch (code) {
    case 'peerNotYetValid':
    case 'ownNotYetValid':
      return {
        short: 'clock',
        why:
          `${theirs} is not valid yet: it begins ${begins(certificate)}, and ` +
          `${clock}${peerClock}`,
        next: CLOCKS,
      };
    case 'peerExpired':
    case 'ownExpired':
      return {
        short: 'expired',
        why: `${theirs} has expired: it ended ${ends(certificate)}, and ${clock}${peerClock}`,
        next:
          (own
            ? RENEW.replace('its request', `the request of ${self}`).replace(' there', '')
            : RENEW.replace('its request', `the request of ${name}`)) + '; unless a clock is wrong',
      };
    case 'peerRevoked':
    case 'ownRevoked':
      return {
        short: 'revoked',
        why: `${theirs} is revoked (serial ${certificate?.serial ?? '?'})`,
        next:
          `if it should come back: \`spines keys rotate\` ${own ? 'here' : `on ${name}`}, ` +
          'and have the new keys signed',
      };
    default: {
      const authority =
        certificate === null || certificate === undefined
          ? undefined
          : trust?.authorityOf(certificate);
      const early = authority !== undefined && nowS < authority.notBeforeS;
      const when =
        authority === undefined
          ? ''
          : early
            ? `: it begins ${formatTime(authority.notBeforeS)}, and ${clock}`
            : `: it ended ${formatTime(authority.notAfterS)}, and ${clock}`;
      return {
        short: early ? 'clock' : 'authority',
        why: `the authority that signed ${theirs} is not valid at this time${when}${peerClock}`,
        next: early
          ? CLOCKS
          : 'make another with `spines keys init --network`, let all nodes trust both, and sign ' +
            'anew',
      };
    }
  }
}

/** "10 min ahead of this one's". */
function clockText(aheadUs: Micros): string {
  return `${formatSpan(Math.abs(aheadUs))} ${aheadUs > 0 ? 'ahead of' : 'behind'} this one's`;
}

function begins(certificate: Certificate | null | undefined): string {
  return certificate === null || certificate === undefined
    ? 'later'
    : formatTime(certificate.notBeforeS);
}

function ends(certificate: Certificate | null | undefined): string {
  return certificate === null || certificate === undefined
    ? 'before'
    : formatTime(certificate.notAfterS);
}
