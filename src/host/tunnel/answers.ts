/** What the far end of a tunnel says to a target, in streams and datagrams alike. */

/** The index is the code on the wire. */
export const ANSWERS = [
  'ok',
  'malformed',
  'not allowed',
  'refused',
  'host unreachable',
  'network unreachable',
  'unknown host',
  'timed out',
  'busy',
  'failed',
] as const;
export type AnswerName = (typeof ANSWERS)[number];

export interface Answer {
  readonly name: AnswerName;
  /** For people; may be empty. */
  readonly reason: string;
}

const ANSWER_OF: Readonly<Record<string, AnswerName>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'host unreachable',
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'unknown host',
  ETIMEDOUT: 'timed out',
  EMFILE: 'busy',
  ENFILE: 'busy',
};

/** What an error code of the system says to a target. */
export function answerOf(code: string): AnswerName {
  return ANSWER_OF[code] ?? 'failed';
}
