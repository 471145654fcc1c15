/**
 * Takes a captured datagram apart: structure by structure, in the order of its bytes, with the
 * value of each field.
 *
 * Made of the layouts of the codecs (layouts.ts); examples/wireshark/spines.lua does the same for
 * Wireshark, and a test compares the two. Shows what is there, also of what no daemon would take:
 * what is missing, left over or not known is said by a `fault` and ends what it is in. What is
 * sealed stays sealed.
 */

import { getU16, getU32, hex } from '../../core/base/bytes.ts';
import { formatNodeId } from '../../core/base/ids.ts';
import { FORM_GRAPH } from '../../core/wire/routed.ts';
import { LAYOUTS, NAMES, NODE_FIELDS, type Layout, type Structure } from './layouts.ts';

/** A number, a dotted quad, hexadecimal digits, or a text. */
export type FieldValue = number | string;

export interface Part {
  /** Of LAYOUTS, or 'body' for what has no layout: a payload, a name, what is sealed. */
  readonly structure: Structure | 'body';
  /** Structures within others are deeper: 0 is the datagram. */
  readonly depth: number;
  readonly fields: ReadonlyMap<string, FieldValue>;
}

export interface Dissected {
  readonly parts: readonly Part[];
  /** What is wrong with it; null: nothing. */
  readonly fault: string | null;
  /** It was cut when it was captured: the rest is not known. */
  readonly cut: boolean;
}

/** Ends what is read: the bytes do not go on. */
class Ended {
  readonly fault: string | null;
  constructor(fault: string | null) {
    this.fault = fault;
  }
}

/** `bytes`: the first of `length`. `opened`: frames are in the clear. */
export function dissect(bytes: Uint8Array, length: number, opened: boolean): Dissected {
  const reader = new Reader(bytes, length);
  try {
    datagram(reader, opened);
    return { parts: reader.parts, fault: reader.fault, cut: false };
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    return { parts: reader.parts, fault: error.fault, cut: error.fault === null };
  }
}

class Reader {
  readonly parts: Part[] = [];
  readonly #bytes: Uint8Array;
  at = 0;
  /** Where what is read now ends. */
  end: number;
  depth = 0;
  fault: string | null = null;

  constructor(bytes: Uint8Array, length: number) {
    this.#bytes = bytes;
    this.end = length;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Throws Ended where there are not so many bytes. */
  take(count: number, what: string): number {
    if (count > this.left) throw new Ended(`${what} is too short`);
    if (this.at + count > this.#bytes.length) throw new Ended(null);
    const at = this.at;
    this.at += count;
    return at;
  }

  /** The next structure. */
  part(structure: Structure): Map<string, FieldValue> {
    const layout: Layout = LAYOUTS[structure];
    const fields = new Map<string, FieldValue>();
    const bytes = Object.values(layout).reduce((sum, [, length]) => sum + length, 0);
    const start = this.take(bytes, structure);
    for (const [name, [at, length]] of Object.entries(layout))
      fields.set(name, this.#value(name, start + at, length));
    this.parts.push({ structure, depth: this.depth, fields });
    return fields;
  }

  #value(name: string, at: number, length: number): FieldValue {
    if (length > 6) return hex(this.#bytes.subarray(at, at + length));
    if (length === 4 && NODE_FIELDS.has(name)) return formatNodeId(getU32(this.#bytes, at));
    let value = 0;
    for (let i = at; i < at + length; i += 1) value = value * 256 + this.#bytes[i]!;
    return value;
  }

  /** What has no layout: the next `count` bytes. Nothing where there are none. */
  body(name: string, count = this.left, text = false): void {
    if (count < 0) throw new Ended(`${name} is too short`);
    if (count === 0) return;
    const at = this.take(count, name);
    const bytes = this.#bytes.subarray(at, at + count);
    const value = text ? new TextDecoder().decode(bytes) : hex(bytes);
    this.parts.push({ structure: 'body', depth: this.depth, fields: new Map([[name, value]]) });
  }

  /** The number that is next, unshown. */
  peek8(): number {
    const at = this.take(1, 'type');
    this.at = at;
    return this.#bytes[at]!;
  }

  peek16(): number {
    const at = this.take(2, 'length');
    this.at = at;
    return getU16(this.#bytes, at);
  }

  /** Reads the next `count` bytes as what `inner` reads, all of them. */
  within(count: number, what: string, inner: () => void): void {
    if (count > this.left) throw new Ended(`${what} reaches beyond the end`);
    const { end } = this;
    this.end = this.at + count;
    this.depth += 1;
    inner();
    if (this.left > 0) this.body('left over');
    this.depth -= 1;
    this.end = end;
  }
}

/** A field of `part` that is a number. */
function num(part: ReadonlyMap<string, FieldValue>, name: string): number {
  return part.get(name) as number;
}

function datagram(r: Reader, opened: boolean): void {
  const type = NAMES.datagram.get(num(r.part('datagram'), 'type'));
  r.depth += 1;
  switch (type) {
    case 'INIT':
    case 'RESPONSE':
      r.part('handshake');
      break;
    case 'REFUSAL':
      r.part('refusal');
      break;
    case 'SEALED_INIT':
      r.part('versions');
      r.body('ephemeral key', 32);
      r.body('sealed', r.left - 32);
      r.body('mac', 16);
      r.body('cookie mac', 16);
      break;
    case 'SEALED_RESPONSE':
      r.body('ephemeral key', 32);
      r.body('sealed', r.left - 16);
      r.body('mac', 16);
      break;
    case 'COOKIE':
      r.part('cookie');
      break;
    case 'KEY_REQUEST':
    case 'KEY_ANSWER':
      r.part('key');
      break;
    case 'DATA':
    case 'SEALED_DATA':
      if (type === 'SEALED_DATA' && !opened) r.body('sealed');
      else while (r.left > 0) frame(r);
      break;
    default:
      throw new Ended('a datagram of an unknown type');
  }
  if (r.left > 0) r.body('left over');
}

type Read = (r: Reader) => void;
type Fields = ReadonlyMap<string, FieldValue>;

function frame(r: Reader): void {
  const head = r.part('frame');
  const name = NAMES.frame.get(num(head, 'type')) ?? '';
  const read = FRAMES[name];
  if (read === undefined) throw new Ended(`a frame of unknown type ${num(head, 'type')}`);
  r.within(num(head, 'length'), 'frame', () => read(r));
}

/** By name; each reads all of a frame's body. */
const FRAMES: Readonly<Record<string, Read>> = {
  HELLO: (r) => r.part('hello'),
  CLOSE: (r) => r.part('close'),
  ACK: (r) => {
    const count = num(r.part('ack'), 'count');
    r.depth += 1;
    for (let i = 0; i < count; i += 1) r.part('ack_range');
    r.depth -= 1;
  },
  PATH_PROBE: (r) => r.part('path'),
  PATH_ANSWER: (r) => r.part('path'),
  SIZE_PROBE: (r) => {
    r.part('size');
    r.body('padding');
  },
  SIZE_ANSWER: (r) => r.part('size'),
  DATA: (r) => packet(r),
  RELIABLE: (r) => {
    r.part('reliable');
    packet(r);
  },
  REALTIME: (r) => {
    r.part('realtime');
    packet(r);
  },
  REALTIME_AGAIN: (r) => {
    r.part('again');
    packet(r);
  },
  REQUEST: (r) => {
    const count = num(r.part('request'), 'count');
    r.depth += 1;
    for (let i = 0; i < count; i += 1) r.part('request_range');
    r.depth -= 1;
  },
  REPAIR: (r) => {
    r.part('repair');
    r.body('units');
  },
  SPLIT: (r) => {
    r.part('split');
    r.body('of a frame');
  },
  LINK_STATE: (r) =>
    checked(r, () => {
      r.part('link_state');
      advertisement(r);
    }),
  LINK_STATE_ACK: (r) => checked(r, () => entries(r, 'version_entry')),
  DIGEST: (r) =>
    checked(r, () => {
      r.part('digest');
      entries(r, 'version_entry');
    }),
  RECORD: (r) =>
    checked(r, () => {
      const kind = num(r.part('record'), 'kind');
      if (kind === 1) r.part('node_record');
      r.body('statement', r.left - 64);
      r.body('signature', 64);
    }),
  GROUPS: (r) =>
    checked(r, () => {
      r.part('record');
      const count = num(r.part('groups'), 'count');
      for (let i = 0; i < count; i += 1) r.part('group_entry');
      r.body('signature');
    }),
  GROUPS_ACK: (r) => checked(r, () => entries(r, 'record_entry')),
  GROUPS_DIGEST: (r) =>
    checked(r, () => {
      r.part('digest');
      entries(r, 'record_entry');
    }),
  RECORD_ACK: (r) => checked(r, () => entries(r, 'record_entry')),
  RECORD_DIGEST: (r) =>
    checked(r, () => {
      r.part('digest');
      entries(r, 'record_entry');
    }),
  CERTIFICATE: (r) => checked(r, () => certificate(r)),
  REVOCATION_OFFER: (r) => {
    r.part('revocation_offer');
    entries(r, 'revocation_entry');
  },
  REVOCATION_WANT: (r) => r.part('revocation_want'),
  REVOCATION_PART: (r) => {
    r.part('revocation_part');
    r.body('of a list');
  },
  TWIN: (r) => r.part('twin'),
};

/** What `inner` reads, and a check of it behind. */
function checked(r: Reader, inner: () => void): void {
  if (r.left < 4) throw new Ended('a control frame has no check');
  r.within(r.left - 4, 'frame', inner);
  r.body('check', 4);
}

function entries(r: Reader, structure: Structure): void {
  while (r.left > 0) r.part(structure);
}

const SIGNED = 0x02,
  FACTS = 0x04,
  NAMES_CERTIFICATE = 0x08;

function advertisement(r: Reader): void {
  const head = r.part('advertisement');
  const flags = num(head, 'flags');
  r.depth += 1;
  r.body('name', num(head, 'name bytes'), true);
  for (let i = 0; i < num(head, 'link count'); i += 1) r.part('link_entry');
  if ((flags & FACTS) !== 0) r.part('facts');
  if ((flags & SIGNED) !== 0) {
    if ((flags & NAMES_CERTIFICATE) !== 0) r.part('proof');
    else {
      r.body('issued', 6);
      const bytes = r.peek16();
      r.body('certificate bytes', 2);
      r.within(bytes, 'certificate', () => certificate(r));
      r.body('signature', 64);
    }
  }
  r.depth -= 1;
}

function certificate(r: Reader): void {
  const head = r.part('certificate');
  // Version 2 has the bytes of its groups in front of the name.
  if (num(head, 'version') === 2) r.body('group bytes', 1);
  r.body('name', num(head, 'name bytes'), true);
  r.body('groups', r.left - 64, true);
  r.body('signature', 64);
}

/* ------------------------------------------------------------------ packets */

/** To the end of the frame. */
function packet(r: Reader): void {
  const head = r.part('packet');
  const sealed = (num(head, 'mode') & 0x40) !== 0;
  let kind = NAMES.kind.get(num(head, 'kind')) ?? '';
  r.depth += 1;
  if (kind === 'ROUTED') kind = graph(r);
  if (sealed) {
    r.part('seal');
    r.body('sealed', r.left - 16);
    r.body('tag', 16);
  } else (KINDS[kind] ?? ((one: Reader) => one.body('payload')))(r, head);
  r.depth -= 1;
}

/** In front of a packet that goes several ways; the kind of the packet inside. */
function graph(r: Reader): string {
  const head = r.part('routed');
  // What goes everywhere has a time in the place of both counts.
  const isGraph = num(head, 'form') === FORM_GRAPH;
  for (let i = 0; isGraph && i < num(head, 'nodes'); i += 1) r.body('hop', 4);
  for (let i = 0; isGraph && i < num(head, 'edges'); i += 1) r.body('edge', 2);
  return NAMES.kind.get(num(head, 'kind')) ?? '';
}

/** By name; each reads all of a packet's payload. */
const KINDS: Readonly<Record<string, (r: Reader, packet: Fields) => void>> = {
  DATAGRAM: (r) => r.body('payload'),
  FRAGMENT: (r) => {
    r.part('fragment');
    r.body('payload');
  },
  PIECE: (r) => {
    r.part('piece');
    r.body('payload');
  },
  SEQUENCED: (r) => {
    r.part('sequenced');
    r.body('payload');
  },
  ECHO: (r) => {
    r.part('echo');
    r.body('payload');
  },
  GROUP: (r, head) => {
    // To a node: one that lost its way, whole.
    if (!isGroup(String(head.get('destination')))) packet(r);
    else {
      if (num(r.part('group'), 'content') === 2) r.part('fragment');
      r.body('payload');
    }
  },
  NOTICE: (r) => r.part('notice'),
  STREAM: (r) => {
    const sacks = num(r.part('segment'), 'sacks');
    r.depth += 1;
    for (let i = 0; i < sacks; i += 1) r.part('sack');
    r.depth -= 1;
    r.body('payload');
  },
  ROUTE: (r) => {
    const head = r.part('route_part');
    if (num(head, 'count') === 1) routeMessage(r);
    else r.body('of a message');
  },
  PROBED: (r) => probedMessage(r),
};

/** Of class D or E. */
function isGroup(quad: string): boolean {
  return Number(quad.split('.')[0]) >= 224;
}

function routeMessage(r: Reader): void {
  const type = r.peek8();
  r.depth += 1;
  if (NAMES.route.get(type) === 'REQUEST') {
    const count = num(r.part('route_request'), 'weight count');
    r.depth += 1;
    for (let i = 0; i < count; i += 1) r.part('route_weight');
    r.depth -= 1;
    r.body('signature', 64);
  } else if (NAMES.route.get(type) === 'RESPONSE') {
    const count = num(r.part('route_response'), 'hop count');
    r.depth += 1;
    for (let i = 0; i < count; i += 1) r.part('route_hop');
    r.depth -= 1;
  } else throw new Ended('a message of discovery of an unknown type');
  r.depth -= 1;
}

function probedMessage(r: Reader): void {
  const type = NAMES.probed.get(r.peek8());
  if (type === 'DATA') {
    const head = r.part('probed_data');
    for (let i = 0; i < num(head, 'hops'); i += 1) r.body('hop', 4);
    const bytes = r.peek16();
    r.body('sealed bytes', 2);
    r.body('sealed', bytes);
    r.body('tail');
  } else if (type === 'ACK') {
    r.part('probed_ack');
    r.body('onion');
  } else throw new Ended('a probed packet of an unknown type');
}
