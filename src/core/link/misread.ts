/**
 * Drop reasons that say of a datagram that it is another one, or several: what the network
 * delivered as one is then cut as it was sent (LinkTable.onDatagram).
 */

import { DropReason } from '../wire/drop.ts';

export const MISREAD: ReadonlySet<DropReason> = new Set([
  DropReason.datagramTooShort,
  DropReason.datagramTooLong,
  DropReason.datagramType,
  DropReason.reservedNotZero,
  DropReason.receiverIndexUnknown,
  DropReason.packetTooOld,
  DropReason.packetReplayed,
  DropReason.sealBroken,
  DropReason.handshakeMalformed,
]);
