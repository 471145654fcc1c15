/**
 * The version of this program, as `spines version` and `spines status` print it. Equal to
 * package.json's (tested).
 */
export const VERSION = '0.1.0';
