/**
 * Node ids: 32-bit numbers written as dotted quads, and the text forms of ports and addresses.
 *
 * Class D ids (224.0.0.0/4) name multicast groups and class E ids (240.0.0.0/4) anycast groups;
 * neither can be a node. 0.0.0.0 is "no node". Ports are 16 bit; 0 is "no port".
 */

/** Unsigned 32 bit. */
export type NodeId = number;
/** 0..65535, 0 = none. */
export type Port = number;

export const NO_NODE: NodeId = 0;
export const PORT_MAX = 0xffff;

/** True for an id that a daemon may have: not zero, not class D or E. */
export function isNodeId(id: number): id is NodeId {
  return Number.isInteger(id) && id > 0 && id < 0xe000_0000;
}

/** First multicast group (class D): no node id is as high. */
export const GROUP_FIRST = 0xe000_0000;
/** First anycast group (class E), and one behind the last. */
const ANYCAST_FIRST = 0xf000_0000,
  ANYCAST_END = 0xffff_ffff;

/** True for the id of a multicast group (class D), 224.0.0.0 to 239.255.255.255. */
export function isGroupId(id: number): boolean {
  return Number.isInteger(id) && id >= GROUP_FIRST && id < ANYCAST_FIRST;
}

/** True for the id of an anycast group (class E), 240.0.0.0 to 255.255.255.254. */
export function isAnycastId(id: number): boolean {
  return Number.isInteger(id) && id >= ANYCAST_FIRST && id < ANYCAST_END;
}

export function formatNodeId(id: NodeId): string {
  return `${id >>> 24}.${(id >>> 16) & 0xff}.${(id >>> 8) & 0xff}.${id & 0xff}`;
}

/** The id that `text` writes as a dotted quad (canonical: no leading zeros), or null. */
export function parseNodeId(text: string): NodeId | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let id = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return null;
    const octet = Number(part);
    if (octet > 255) return null;
    id = id * 256 + octet;
  }
  return id;
}

/** Bytes of all groups of a certificate, a comma between two. */
export const GROUPS_BYTES_MAX = 55;

/**
 * True for a name that a group of certificates may have: letters, digits, '-', '_' or '.', not
 * starting with '-'.
 */
export function isGroupName(name: string): boolean {
  return name.length <= GROUPS_BYTES_MAX && /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name);
}

/**
 * Groups in the one form that they have: ascending, none twice. Null when `groups` are none, or too
 * long together.
 */
export function sortedGroups(groups: readonly string[]): readonly string[] | null {
  const sorted = [...new Set(groups)].sort();
  return sorted.every(isGroupName) && sorted.join(',').length <= GROUPS_BYTES_MAX ? sorted : null;
}

/**
 * True for a name a node may have: 1-63 letters, digits, '-', '_' or '.', not starting with '-',
 * not a dotted quad.
 */
export function isNodeName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/.test(name) && parseNodeId(name) === null;
}
