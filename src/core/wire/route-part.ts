/**
 * The payload of a packet of kind ROUTE: a part of a message of route discovery, from one neighbour
 * to the next. WIRE.md section 13.
 */

import { PAYLOAD_BYTES_MAX } from './sizes.ts';

export const ROUTE_PART_HEAD_BYTES = 4;
export const ROUTE_PART_LAYOUT = { message: [0, 2], index: [2, 1], count: [3, 1] } as const;
export const ROUTE_PART_BYTES_MAX = PAYLOAD_BYTES_MAX - ROUTE_PART_HEAD_BYTES;
