/**
 * The program by which the kernel divides what arrives at one address among two sockets: the first
 * for links and answers to our calls, the second for everybody else. Classic BPF, as
 * SO_ATTACH_REUSEPORT_CBPF takes it (socket(7)); it begins at the datagram's first byte.
 *
 * Owns the bytes of the program only; offload.ts attaches it. A socket has one queue in the kernel,
 * which is lost from when it is full: where calls and data share it, whoever calls without end
 * takes the place of what links bring, however little the daemon then does for each.
 */

import type { IndexMark } from '../../core/base/index-mark.ts';
import {
  DATAGRAM_INIT,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_INIT,
} from '../../core/wire/datagram-header.ts';
import { DATAGRAM_HEADER_BYTES } from '../../core/wire/sizes.ts';

/** struct sock_filter: code u16, offsets of the jumps u8 u8, operand u32. */
export const FILTER_STEP_BYTES = 8;
/** struct sock_fprog, with its padding. */
export const FILTER_HEAD_BYTES = 16;

/** Indices of the sockets, in the order in which they were bound. */
const LINKS = 0,
  STRANGERS = 1;
const TYPE_AT = 0,
  RECEIVER_AT = 2;
const LOAD_LENGTH = 0x80,
  LOAD_BYTE = 0x30,
  LOAD_WORD = 0x20,
  AND = 0x54,
  JUMP_IF_EQUAL = 0x15,
  JUMP_IF_AT_LEAST = 0x35,
  RETURN = 0x06;
const TOP_BIT = 0x8000_0000;

/**
 * Numbers of the kernel are little endian on every architecture that offload.ts knows; loads are
 * big endian, as the wire is.
 */
export function strangersFilter({ mask, value }: IndexMark): Buffer {
  const types = [DATAGRAM_SEALED_INIT, DATAGRAM_INIT, DATAGRAM_KEY_REQUEST];
  // Code, operand, and whether what fits, or what does not, is a stranger's. Where others have the
  // receiver's index, an INIT has its sender's.
  const steps: [code: number, operand: number, strangersIf?: boolean][] = [
    [LOAD_LENGTH, 0],
    [JUMP_IF_AT_LEAST, DATAGRAM_HEADER_BYTES, false],
    [LOAD_BYTE, TYPE_AT],
    ...types.map((type): [number, number, boolean] => [JUMP_IF_EQUAL, type, true]),
    [LOAD_WORD, RECEIVER_AT],
    [AND, mask | TOP_BIT],
    [JUMP_IF_EQUAL, value, false],
    [RETURN, LINKS],
    [RETURN, STRANGERS],
  ];
  const out = Buffer.alloc(steps.length * FILTER_STEP_BYTES);
  for (const [i, [code, operand, strangersIf]] of steps.entries()) {
    const at = i * FILTER_STEP_BYTES,
      away = steps.length - 2 - i;
    out.writeUInt16LE(code, at);
    out[at + 2] = strangersIf === true ? away : 0;
    out[at + 3] = strangersIf === false ? away : 0;
    out.writeUInt32LE(operand >>> 0, at + 4);
  }
  return out;
}
