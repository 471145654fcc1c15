/**
 * What a daemon is asked and answers about the neighbours that it dials.
 *
 * Types only, part of the protocol (protocol.ts). Daemons before 0.2 do not have these operations.
 */

/** A neighbour to dial, as the config file has it. */
export interface LinkAddArgs {
  /** Numeric, or a host's name; daemons before 0.2 know no names. */
  address: string;
  /** 1..65535. */
  port: number;
  /** Dotted quad that must answer there. */
  node?: string;
  /** What it is called until it has shown its certificate. */
  name?: string;
  /** The peer's exchange key, 64 hexadecimal digits. */
  key?: string;
  congestion?: string;
}

export interface DialRow {
  /** "address:port", or "name:port" as it was written. */
  address: string;
  node: string | null;
  name: string | null;
  key: string | null;
  congestion: string | null;
  /** A link came of it and is up, for so long. */
  up: boolean;
  sinceMs: number | null;
  /** By an operator, since the files were read last. */
  added: boolean;
}

export interface DialsReply {
  schema: 1;
  dials: DialRow[];
}

export interface DialReply {
  schema: 1;
  dial: DialRow;
}
