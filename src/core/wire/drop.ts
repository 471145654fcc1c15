/**
 * Why something from the network or a client was not used: numeric reasons, and the counters for
 * them.
 *
 * Decoders return a DropReason instead of throwing; 0 means "not dropped". Every drop is counted
 * under exactly one reason. Names are what operators see in `spines status`.
 */

export const DropReason = {
  none: 0,
  /* datagrams */
  datagramTooShort: 1,
  datagramTooLong: 2,
  datagramType: 3,
  reservedNotZero: 4,
  receiverIndexUnknown: 5,
  packetReplayed: 6,
  packetTooOld: 7,
  sealBroken: 8,
  /* handshake */
  handshakeMalformed: 9,
  handshakeForAnother: 10,
  handshakeFromSelf: 11,
  handshakeUnexpected: 12,
  handshakeRefused: 13,
  handshakeTieBroken: 14,
  linkTableFull: 15,
  /* frames */
  frameTruncated: 16,
  frameType: 17,
  helloMalformed: 18,
  closeMalformed: 19,
  /* overlay packets */
  packetMalformed: 20,
  packetTooLong: 21,
  ttlExpired: 22,
  transitRefused: 160,
  noRoute: 23,
  disseminationUnknown: 24,
  linkServiceUnknown: 25,
  sessionKindUnknown: 26,
  /* link state */
  linkStateMalformed: 27,
  linkStateStale: 28,
  linkStateTableFull: 29,
  linkStateAckMalformed: 30,
  digestMalformed: 31,
  /* queues */
  linkQueueFull: 33,
  linkDown: 34,
  sinkFull: 35,
  datagramAboveMtu: 109,
  sendRefused: 140,
  loopbackFull: 36,
  /* sessions */
  portClosed: 37,
  sourceUnproved: 116,
  firewallDatagram: 118,
  firewallStream: 119,
  fragmentMalformed: 38,
  fragmentTableFull: 39,
  fragmentTimedOut: 40,
  fragmentDuplicate: 41,
  clientTooSlow: 42,
  echoMalformed: 43,
  echoRateLimited: 44,
  /* clients */
  clientFrameMalformed: 46,
  clientSocketUnknown: 47,
  clientRefused: 48,
  clientUnauthenticated: 88,
  clientOverRate: 89,
  firewallTarget: 120,
  firewallClient: 121,
  /* reliable links */
  ackMalformed: 49,
  ackUnsent: 50,
  reliableMalformed: 51,
  reliableDuplicate: 52,
  /* realtime links */
  realtimeMalformed: 142,
  realtimeDuplicate: 143,
  realtimeLate: 144,
  realtimeOverBudget: 145,
  /* groups */
  groupMalformed: 146,
  groupWrongLink: 147,
  groupDuplicate: 148,
  groupStampAhead: 149,
  groupNobody: 150,
  groupBranchFull: 151,
  groupForbidden: 152,
  groupsMalformed: 153,
  groupsStale: 154,
  groupTableFull: 155,
  /* packets that carry their graph */
  routedMalformed: 156,
  routedWrongLink: 157,
  routedDuplicate: 158,
  routedCopyLost: 159,
  /* reliable sessions */
  sequencedMalformed: 53,
  sequencedDuplicate: 54,
  streamMalformed: 55,
  streamUnknown: 56,
  streamRefused: 57,
  streamOutOfWindow: 58,
  streamDuplicate: 59,
  waitedTooLong: 32,
  noticeMalformed: 138,
  noticeUnasked: 139,
  /* damage on links that are not sealed */
  checkWrong: 45,
  /* sealed links: handshake */
  securityMismatch: 60,
  handshakeMacWrong: 61,
  handshakeBroken: 62,
  handshakeReplayed: 63,
  handshakeOverBudget: 64,
  handshakeCookieAsked: 65,
  cookieBroken: 66,
  keyAnswerMalformed: 67,
  /* certificates from the network */
  certificateMalformed: 68,
  certificateWrongNetwork: 69,
  certificateUnknownAuthority: 70,
  certificateForged: 71,
  certificateNotYetValid: 72,
  certificateExpired: 73,
  certificateRevoked: 74,
  certificateAuthorityNotValid: 75,
  certificateRole: 76,
  certificateOfAnother: 77,
  /* signed link state */
  linkStateUnsigned: 78,
  linkStateForged: 79,
  linkStateOfAnother: 80,
  linkStateOutOfTime: 81,
  linkStateOverBudget: 82,
  linkStateUncertified: 123,
  /* signed records beside link state */
  recordMalformed: 124,
  recordStale: 125,
  recordTableFull: 126,
  /* revocation lists */
  revocationMalformed: 83,
  revocationForged: 84,
  revocationOverBudget: 85,
  /* paths */
  pathFrameMalformed: 86,
  pathProbeUnasked: 87,
  sizeProbeMalformed: 112,
  sizeAnswerUnasked: 113,
  splitMalformed: 114,
  splitIncomplete: 115,
  /* probed packets */
  probedMalformed: 90,
  probedNotOnRoute: 91,
  probedForged: 92,
  probedReplayed: 93,
  probedRepeated: 117,
  probedPathUnknown: 94,
  probedAckMalformed: 95,
  probedAckUnexpected: 96,
  probedAckForged: 97,
  probedLost: 141,
  /* sealed from end to end */
  endToEndMalformed: 127,
  endToEndUnasked: 128,
  endToEndNoKey: 129,
  endToEndEpochUnknown: 130,
  endToEndKeyGone: 131,
  endToEndForged: 132,
  endToEndReplayed: 133,
  endToEndTooOld: 134,
  endToEndOverBudget: 135,
  endToEndMissing: 136,
  /* route discovery */
  routeRequestMalformed: 98,
  routeRequestDuplicate: 99,
  routeRequestStale: 100,
  routeRequestForged: 101,
  routeResponseMalformed: 102,
  routeResponseUnasked: 103,
  routeResponseForged: 104,
  routeResponseWorse: 105,
  discoveryNodeUnknown: 106,
  discoveryOverBudget: 107,
  routePartMalformed: 108,
  /* versions and identities */
  handshakeVersion: 110,
  handshakeTwin: 111,
  twinMalformed: 122,
  handshakePresharedKey: 137,
} as const;

export type DropReason = (typeof DropReason)[keyof typeof DropReason];

const names: string[] = [];
for (const [name, reason] of Object.entries(DropReason)) names[reason] = name;

export const DROP_REASON_COUNT = names.length;

export function dropReasonName(reason: DropReason): string {
  return names[reason]!;
}

/** One counter per reason. */
export class DropCounters {
  readonly #counts = new Float64Array(DROP_REASON_COUNT);

  count(reason: DropReason, times = 1): void {
    this.#counts[reason]! += times;
  }

  of(reason: DropReason): number {
    return this.#counts[reason]!;
  }

  get total(): number {
    let total = 0;
    for (let i = 1; i < this.#counts.length; i += 1) total += this.#counts[i]!;
    return total;
  }

  /** Name -> count, zero counts left out. */
  snapshot(): Record<string, number> {
    const out: Record<string, number> = {};
    for (let i = 1; i < this.#counts.length; i += 1)
      if (this.#counts[i]! > 0) out[names[i]!] = this.#counts[i]!;
    return out;
  }
}

/** A packet was taken, and its flow, which begins here, is to wait before it sends more. */
export const TAKEN_FULL = -1;

/**
 * What became of a packet that was offered: taken (DropReason.none), taken while its flow is to
 * wait, or refused for a reason. Who refuses leaves the packet to the caller, who counts it.
 */
export type Offered = DropReason | typeof TAKEN_FULL;

/** Why it was refused, DropReason.none when it was taken. `@hot` */
export function refusalOf(offered: Offered): DropReason {
  return offered === TAKEN_FULL ? DropReason.none : offered;
}
