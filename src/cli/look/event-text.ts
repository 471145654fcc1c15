/**
 * What happened on a daemon, in words: one line for each event of `client.watch`.
 *
 * Owns the sentences and what is good or bad news; used by `spines watch` and `spines top`. Takes
 * events whose texts are plain.
 */

import type {
  CertificateEvent,
  DaemonEvent,
  LinkEvent,
  RouteEvent,
  SessionEvent,
} from 'spines-client';
import type { PathNode } from 'spines-client/protocol';

import { formatAge, formatMs, formatNode, type ColourName } from '../terminal/table.ts';
import { twinText } from './twins.ts';

export interface EventText {
  /** Its kind, as it is asked for. */
  readonly kind: string;
  readonly text: string;
  /** Null: neither good nor bad. */
  readonly colour: ColourName | null;
}

/** "node-2 > node-4 > node-3": behind this node; "direct" where there is nobody between. */
export function pathText(path: readonly PathNode[]): string {
  const [, ...hops] = path;
  return hops.length === 1 ? 'direct' : hops.map(shortName).join(' > ');
}

/** The name where there is one, else the quad. */
export function shortName({ node, name }: PathNode): string {
  return name === null || name === '' ? node : name;
}

export function eventText(event: DaemonEvent): EventText {
  const { kind } = event;
  switch (kind) {
    case 'link':
      return { kind, ...linkText(event) };
    case 'route':
      return { kind, ...routeText(event) };
    case 'session':
      return { kind, text: sessionText(event), colour: null };
    case 'node':
      return {
        kind,
        text:
          `${formatNode(event.name, event.node)} ` +
          (event.what === 'refused' ? 'is not believed' : `is ${event.what}`) +
          (event.why === null ? '' : `: ${event.why}`),
        colour: event.what === 'refused' ? 'red' : null,
      };
    case 'conviction':
      return {
        kind,
        text:
          `link ${shortName(event.u)} - ${shortName(event.v)} is avoided: blamed for ` +
          `${event.losses} losses on the way to ${shortName(event.destination)}`,
        colour: 'red',
      };
    case 'certificate':
      return { kind, ...certificateText(event) };
    case 'clock': {
      const { aheadMs } = event;
      const differs = `${formatAge(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
      return {
        kind,
        text:
          `the clock of ${shortName(event)} ` +
          (event.what === 'differs' ? `is ${differs} this one's` : 'agrees again'),
        colour: event.what === 'differs' ? 'red' : 'green',
      };
    }
    case 'clone':
      return event.what === 'found'
        ? { kind, text: twinText(event.twin), colour: 'red' }
        : {
            kind,
            text: `${formatNode(event.twin.name, event.twin.node)} runs once again`,
            colour: 'green',
          };
    case 'size':
      return {
        kind,
        text:
          `the path to ${shortName(event)} takes IP packets of ${event.packetBytes} bytes` +
          (event.what === 'narrow' ? ' at most' : ': full ones again'),
        colour: event.what === 'narrow' ? 'yellow' : 'green',
      };
    case 'log':
      return { kind, text: `${event.target}: ${event.lost} lines lost`, colour: 'red' };
    case 'missed':
      return { kind, text: `${event.count} events were not seen`, colour: 'yellow' };
    case 'daemon':
      return event.what === 'away'
        ? { kind, text: 'the daemon is away', colour: 'red' }
        : {
            kind,
            text: `the daemon is back${event.restarted ? ', started anew' : ''}`,
            colour: 'green',
          };
  }
}

function linkText({
  what,
  node,
  name,
  address,
  why,
  next,
  rttMs,
}: LinkEvent): Omit<EventText, 'kind'> {
  const who = node === null ? (name ?? address) : shortName({ node, name });
  if (what === 'up') return { text: `${who} up, at ${address}`, colour: 'green' };
  if (what === 'down') return { text: `${who} down: ${why ?? 'not known'}`, colour: 'red' };
  const rtt = rttMs === null ? '' : `, rtt ${formatMs(rttMs)}`;
  return {
    text:
      next === null
        ? `${who}: ${why ?? ''}${rtt}`
        : `${who} at ${address} has no link: ${why ?? ''}; ${next}`,
    colour: 'yellow',
  };
}

function routeText({ what, node, name, path, was, costMs }: RouteEvent): Omit<EventText, 'kind'> {
  const who = shortName({ node, name });
  const before = was === null ? '' : `, was ${pathText(was)}`;
  if (what === 'lost' || path === null)
    return { text: `${who} out of reach${before}`, colour: 'red' };
  const cost = costMs === null ? '' : `, ${formatMs(costMs)}`;
  return {
    text: `${who} ${path.length === 2 ? 'directly' : `by ${pathText(path)}`}${cost}${before}`,
    colour: what === 'found' ? 'green' : null,
  };
}

function sessionText({
  what,
  socket,
  program,
  certificate,
  port,
  node,
  name,
  remotePort,
  link,
  routing,
  sent,
  received,
  code,
}: SessionEvent): string {
  const who = certificate === null ? program : `${program} (${certificate})`;
  const to = node === null ? '' : ` with ${shortName({ node, name })}:${remotePort ?? '?'}`;
  const unit = socket === 'stream' ? 'B' : 'messages';
  const figures =
    what === 'opened' || socket === 'listener'
      ? `, ${link}, ${routing}`
      : `, ${sent} ${unit} sent, ${received} received${code === null ? '' : `, ${code}`}`;
  return `${socket} ${what} by ${who}, port ${port}${to}${figures}`;
}

function certificateText({ what, serial, leftS, why }: CertificateEvent): Omit<EventText, 'kind'> {
  const left = leftS <= 0 ? 'is over' : `ends in ${formatAge(leftS * 1_000)}`;
  const news =
    what === 'renewed'
      ? `is new, and ${left}`
      : what === 'refused'
        ? `is refused: ${why ?? 'revoked'}`
        : left;
  return {
    text: `this daemon's certificate ${serial} ${news}`,
    colour: what === 'renewed' ? 'green' : what === 'expiring' ? 'yellow' : 'red',
  };
}
