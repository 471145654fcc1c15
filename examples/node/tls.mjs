/**
 * TLS over the overlay, with node:tls: for programs that prove themselves to each other beyond their
 * daemons.
 *
 *   node tls.mjs serve PORT           at one node
 *   node tls.mjs call NODE PORT       at another
 *
 * The hooks: `tls.connect` takes a socket, and a TLSSocket is put over one that a server was given.
 * `allowHalfOpen` lets TLS say good-bye after the far end has. A key that both know stands for
 * certificates here, so that there is nothing to make first.
 */
import tls from 'node:tls';
import { connect, createServer } from 'spines-client';

const psk = Buffer.from('a key of 16 bytes or more, from a file, say');
const options = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
const [what, ...rest] = process.argv.slice(2);
if (what === 'serve') {
  createServer({ allowHalfOpen: true }, (socket) => {
    const secure = new tls.TLSSocket(socket, {
      ...options,
      isServer: true,
      pskCallback: (_socket, identity) => (identity === 'ann' ? psk : null),
    });
    secure.on('data', (text) => secure.end(`heard: ${text}`)).on('error', () => {});
  }).listen(Number(rest[0]), () => console.log('ready'));
} else {
  const [host, port] = rest;
  const secure = tls.connect({
    ...options,
    socket: connect({ host, port: Number(port), allowHalfOpen: true }),
    pskCallback: () => ({ psk, identity: 'ann' }),
    // Whoever has the key is whom we mean.
    checkServerIdentity: () => undefined,
  });
  secure.once('secureConnect', () => secure.write('over TLS'));
  secure.on('data', (text) => console.log(`${secure.getProtocol()}: ${text}`));
}
