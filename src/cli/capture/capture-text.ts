/**
 * A captured datagram as text: a line of what is in it, or each field of each structure.
 *
 * Names come from the codecs (layouts.ts). What is sealed is said to be, with its length.
 */

import type { CapturedDatagram } from 'spines-client/protocol';

import { deadlineUs } from '../../core/wire/deadline.ts';
import { timeText } from '../look/watch.ts';
import { dissect, type Dissected, type FieldValue, type Part } from './dissect.ts';
import { flagNames, NAMES } from './layouts.ts';

/** Of a value that is bytes, digits shown. */
const BYTES_SHOWN = 32;

type Fields = ReadonlyMap<string, FieldValue>;

/** "15:31:02.113207 n1 > HELLO PROBE | RELIABLE 7 STREAM 10.0.0.1:9 > 10.0.0.2:80 SYN". */
export function captureLine(datagram: CapturedDatagram): string {
  const read = dissect(datagram.bytes, datagram.length, datagram.opened);
  const { out, length, drops } = datagram;
  const who = datagram.name ?? datagram.node ?? datagram.address;
  const said = summaryOf(read);
  const dropped = drops.length === 0 ? '' : ` [dropped: ${drops.join(', ')}]`;
  return `${clock(datagram.at)} ${out ? '>' : '<'} ${who} ${length} B: ${said}${dropped}\n`;
}

/** The line, and below it each structure with its fields. */
export function captureDetails(datagram: CapturedDatagram): string {
  const read = dissect(datagram.bytes, datagram.length, datagram.opened);
  let text = captureLine(datagram);
  for (const { structure, depth, fields } of read.parts) {
    const values = [...fields].map(([name, value]) => `${name} ${shown(name, value)}`);
    const head = structure === 'body' ? '' : `${structure.replaceAll('_', ' ')}: `;
    text += `${'  '.repeat(depth + 1)}${head}${values.join(', ')}\n`;
  }
  return text;
}

/** To the microsecond, of the day. */
function clock(at: number): string {
  return timeText(Math.floor(at / 1_000)) + String(at % 1_000).padStart(3, '0');
}

function shown(name: string, value: FieldValue): string {
  if (typeof value === 'number' || name === 'name' || name === 'groups') return String(value);
  return value.length <= BYTES_SHOWN || !/^[0-9a-f]+$/.test(value)
    ? value
    : `${value.slice(0, BYTES_SHOWN)}.. (${value.length / 2} B)`;
}

/** What is in it: its frames, or what it is instead. */
function summaryOf({ parts, fault, cut }: Dissected): string {
  const said: string[] = [];
  parts.forEach((part, i) => {
    const text = partText(part, parts.slice(i + 1));
    if (text === null) return;
    if (CONTINUES.has(part.structure)) said.push(`${said.pop() ?? ''} ${text}`.trim());
    else said.push(text);
  });
  const end = cut ? ' ..' : fault === null ? '' : ` [${fault}]`;
  if (said.length === 1 && isEmpty(parts)) said[0] = 'sign of life';
  return said.join(' | ') + end;
}

function isEmpty(parts: readonly Part[]): boolean {
  const type = NAMES.datagram.get(parts[0]?.fields.get('type') as number) ?? '';
  return parts.length === 1 && type.endsWith('DATA');
}

/** What goes on with what is in front of it. */
const CONTINUES: ReadonlySet<string> = new Set([
  'packet',
  'echo',
  'segment',
  'notice',
  'seal',
  'hello',
  'close',
  'reliable',
  'realtime',
  'split',
  'route_request',
  'route_response',
  'probed_data',
  'probed_ack',
  'ack',
  'advertisement',
  'record',
  'refusal',
]);

function num(fields: Fields, name: string): number {
  return fields.get(name) as number;
}

type Say = (fields: Fields, behind: readonly Part[]) => string | null;

/** By structure; those that are not here say nothing in a line. */
const SAID: Readonly<Record<string, Say>> = {
  datagram: (f, behind) => {
    const type = NAMES.datagram.get(num(f, 'type')) ?? `type ${num(f, 'type')}`;
    const frames = behind.some(({ structure }) => structure === 'frame');
    if (type.endsWith('DATA')) return frames ? null : type;
    return `${type} #${num(f, 'packet number')}`;
  },
  frame: (f) => NAMES.frame.get(num(f, 'type')) ?? `frame ${num(f, 'type')}`,
  hello: (f) => flagNames(NAMES.hello_flags, num(f, 'flags')).join(' '),
  close: (f) => NAMES.close.get(num(f, 'reason')) ?? String(num(f, 'reason')),
  refusal: (f) => NAMES.refusal.get(num(f, 'reason')) ?? String(num(f, 'reason')),
  ack: (f) => `to ${num(f, 'largest')}`,
  reliable: (f) => String(num(f, 'sequence')),
  realtime: (f) => `aged ${num(f, 'age') / 10} ms`,
  split: (f) => {
    const part = num(f, 'part');
    return `${(part >> 4) + 1} of ${part & 15} of ${NAMES.frame.get(num(f, 'type')) ?? '?'}`;
  },
  advertisement: (f) => `of ${f.get('origin')} #${num(f, 'sequence')}`,
  record: (f) => `of ${f.get('origin')} #${num(f, 'sequence')}`,
  packet: (f, behind) => {
    const kind = NAMES.kind.get(num(f, 'kind')) ?? `kind ${num(f, 'kind')}`;
    const ports = (node: string, port: string): string => `${f.get(node)}:${num(f, port)}`;
    const from = ports('source', 'source port'),
      to = ports('destination', 'destination port');
    const deadline = num(f, 'class') >> 4;
    const extras = [
      `ttl ${num(f, 'ttl')}`,
      (num(f, 'mode') & 0x80) === 0 ? '' : 'marked',
      (num(f, 'mode') & 0x07) === 2 ? `in ${deadlineUs(deadline) / 1_000} ms` : '',
      payloadText(behind),
    ];
    return `${kind} ${from} > ${to} ${extras.filter((text) => text !== '').join(' ')}`;
  },
  seal: (f) => `#${num(f, 'counter') % 2 ** 47}`,
  echo: (f) => `${NAMES.echo.get(num(f, 'operation')) ?? '?'} #${num(f, 'sequence')}`,
  segment: (f) =>
    `${flagNames(NAMES.segment_flags, num(f, 'flags')).join(' ')} seq ${num(f, 'sequence')} ` +
    `ack ${num(f, 'ack')}`,
  notice: (f) => `reason ${num(f, 'reason')}`,
  route_request: (f) => `REQUEST ${f.get('source')} > ${f.get('destination')}`,
  route_response: (f) => `RESPONSE ${f.get('source')} > ${f.get('destination')}`,
  probed_data: (f) => `DATA #${num(f, 'counter')}`,
  probed_ack: (f) => `ACK #${num(f, 'counter')}`,
};

function partText({ structure, fields }: Part, behind: readonly Part[]): string | null {
  return SAID[structure]?.(fields, behind) ?? null;
}

/** The bytes that a packet carries, or that they are sealed: the next of its bodies. */
function payloadText(behind: readonly Part[]): string {
  for (const { structure, fields } of behind) {
    if (structure === 'frame') break;
    for (const name of ['payload', 'sealed'] as const) {
      const value = fields.get(name);
      if (structure === 'body' && typeof value === 'string')
        return `${value.length / 2} B${name === 'sealed' ? ' sealed' : ''}`;
    }
  }
  return '';
}
