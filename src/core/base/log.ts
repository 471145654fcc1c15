/**
 * The log as the core sees it: four methods in the shape of pino, injected.
 *
 * Message text is constant, everything variable goes into fields. State changes at info, odd peers
 * at warn, nothing per packet.
 */

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

export const nullLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
