/**
 * Numbers of the wire that are given away and not used yet, so that no two features take the same
 * one. WIRE.md section 3.
 *
 * A receiver knows none of them: it drops what carries one, as any other number that it does not
 * know. Whoever begins to use one moves it from here to the file that owns its space.
 */

export interface ReservedNumber {
  readonly space: 'frame' | 'kind' | 'dissemination' | 'capability';
  readonly value: number;
  readonly name: string;
}

export const RESERVED_NUMBERS: readonly ReservedNumber[] = [
  { space: 'frame', value: 0x18, name: 'OBSERVED' },
  { space: 'kind', value: 10, name: 'FLOW' },
  { space: 'kind', value: 11, name: 'FLOW_ACK' },
  { space: 'dissemination', value: 4, name: 'RELIABLE_FLOW' },
  { space: 'capability', value: 0x1, name: 'END_TO_END' },
  { space: 'capability', value: 0x8, name: 'FLOWS' },
];
