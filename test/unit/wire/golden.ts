/**
 * Golden datagrams: one of every datagram, frame and payload kind, as the bytes of the wire. They change only together with
 * WIRE_VERSION.
 */

export interface Golden {
  readonly name: string;
  readonly bytes: Uint8Array;
}

function golden(name: string, hex: string): Golden {
  return { name, bytes: Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')) };
}

export const GOLDEN: readonly Golden[] = [
  golden('init', '110000000000000000000002 0a00000100000000a1b2c3d4112233445566000100000000'),
  golden('response', '1200a1b2c3d4000000000002 0a0000020a00000199887766665544332211000100000000'),
  golden('no frames', '1400a1b2c3d4000102030405'),
  golden('hello probe', '1400a1b2c3d4000102030405 0100100100000000abcdef0000000000000000'),
  golden('hello answer', '1400a1b2c3d4000102030405 0100100200028ffffffffe00abcdef000005dc'),
  golden('close', '1400a1b2c3d4000102030405 02000103'),
  golden('datagram', '1400a1b2c3d4000102030405 08001c013f00010a0000010a000007800000076f76657220616e64206f7574'),
  golden('datagram, empty and marked', '1400a1b2c3d4000102030405 080010013f80010a0000010a00000780000007'),
  golden('last fragment', '1400a1b2c3d4000102030405 08001b023f00010a0000010a00000780000007fffffffe02035a5a5a5a5a'),
  golden('echo request', '1400a1b2c3d4000102030405 08001c043f00010a0000010a0000070000000001000201cafef00d00000000'),
  golden('echo reply', '1400a1b2c3d4000102030405 08001c043f00010a0000010a00000700000000023e0201cafef00d00000000'),
  golden('echo expired', '1400a1b2c3d4000102030405 080018043f00010a0000010a0000070000000003010201cafef00d'),
  golden('ack', '1400a1b2c3d4000102030405 0300140001020303990010020000050001000203000001'),
  golden('reliable', '1400a1b2c3d4000102030405 090026 00000007053f01010a0000010a000007800000071122334400000005000172656c6961626c65'),
  golden('link state', '1400a1b2c3d4000102030405 10002403e80a000001000010203040000502616c7068610a000002006400000a00000700fa028f'),
  golden('link state, leaving and nameless', '1400a1b2c3d4000102030405 10000f000a0a000002fffffffffffe010000'),
  golden('link state ack', '1400a1b2c3d4000102030405 1100140a0000010000102030400a000002000000000007'),
  golden('digest', '1400a1b2c3d4000102030405 120015010a0000010000102030400a000007fffffffffffe'),
  golden('digest, empty', '1400a1b2c3d4000102030405 12000101'),
  golden('several frames', '1400a1b2c3d4000102030405 11000a0a000007000000000009080012013f00010a0000010a0000078000000768690100100100000000abcdef0000000000000000'),
];

/** The golden datagram called `name`. */
export function goldenBytes(name: string): Uint8Array {
  const found = GOLDEN.find((entry) => entry.name === name);
  if (found === undefined) throw new Error(`no golden datagram ${name}`);
  return found.bytes.slice();
}
