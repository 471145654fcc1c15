/**
 * Node addresses: dotted quad to u32 and back. Only the canonical form is an address; all else is a
 * name. The addresses that programs written for IP use for their own machine mean the local node.
 */

const QUAD = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/** The address as u32, or null when `text` is not a canonical dotted quad. */
export function parseQuad(text: string): number | null {
  const match = QUAD.exec(text);
  if (match === null) return null;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = Number(match[i]);
    if (part > 255) return null;
    value = value * 256 + part;
  }
  return value;
}

export function formatQuad(node: number): string {
  return `${node >>> 24}.${(node >>> 16) & 255}.${(node >>> 8) & 255}.${node & 255}`;
}

const LOCAL = new Set(['', 'localhost', '127.0.0.1', '0.0.0.0', '::', '::1']);

/** `host` means the local node, whatever that is called. */
export function isLocalHost(host: string): boolean {
  return LOCAL.has(host);
}
