/**
 * The sizes that every layer shares, and the arithmetic between them, checked when this file is
 * loaded.
 *
 * Called by everyone who lays out a buffer. The invariant: a full overlay packet in a reliable data
 * frame in a sealed datagram fits an IPv6 packet of 1500 bytes, so it fits every link, sealed or
 * not.
 */

import { assert } from '../base/assert.ts';

/** Type, reserved, receiver index, packet number. See WIRE.md section 1. */
export const DATAGRAM_HEADER_BYTES = 12;
/**
 * Authentication tag behind the frames of a sealed datagram; absent when the link is not sealed.
 */
export const TAG_BYTES = 16;
/** Type and length in front of every frame. */
export const FRAME_HEAD_BYTES = 3;
/** Link sequence number in front of the packet in a reliable data frame. */
export const RELIABLE_HEAD_BYTES = 4;
/** Overlay header. See WIRE.md section 4. */
export const OVERLAY_HEADER_BYTES = 16;
/** Largest UDP payload sent: 1500 bytes less IPv6 and UDP headers. */
export const DATAGRAM_BYTES_MAX = 1452;
/**
 * Every path between neighbours carries a UDP payload of this size: 576 bytes (RFC 791) less the
 * longest IPv4 header and UDP's. Handshakes stay below it.
 */
export const DATAGRAM_BYTES_MIN = 508;
/** Largest overlay packet, header included. Fragments are cut to this size at the source. */
export const PACKET_BYTES_MAX = 1416;
/** Largest frame body. */
export const FRAME_BODY_BYTES_MAX =
  DATAGRAM_BYTES_MAX - DATAGRAM_HEADER_BYTES - TAG_BYTES - FRAME_HEAD_BYTES;
/**
 * Head of a seal from end to end, between the overlay header and the payload: epochs and counter.
 * See WIRE.md section 15.
 */
export const SEAL_ROOM_BYTES = 12;
/** Largest session payload of one overlay packet. */
export const PAYLOAD_BYTES_MAX = PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES;

assert(
  PACKET_BYTES_MAX + RELIABLE_HEAD_BYTES <= FRAME_BODY_BYTES_MAX,
  'a full packet must fit a sealed datagram',
);
