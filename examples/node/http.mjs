/**
 * HTTP over the overlay, with Node's own server and client.
 *
 *   node http.mjs serve PORT          at one node
 *   node http.mjs get NODE PORT       at another
 *
 * The daemon is the one of $SPINES_SOCKET. The hooks: a server is given its connections, and a
 * request is told how to connect. TLS goes over either in the same way (tls.mjs).
 */
import http from 'node:http';
import { connect, createServer } from 'spines-client';

const [what, ...rest] = process.argv.slice(2);
if (what === 'serve') {
  const web = http.createServer((request, response) => {
    response.end(`${request.method} ${request.url} from ${request.socket.remoteAddress}\n`);
  });
  createServer((socket) => web.emit('connection', socket)).listen(Number(rest[0]), () =>
    console.log('ready'),
  );
} else {
  const [host, port] = rest;
  const to = { host, port: Number(port) };
  // An agent of its own, so that connections are kept for requests to come.
  const agent = new http.Agent({ keepAlive: true });
  agent.createConnection = () => connect(to);
  for (const path of ['/one', '/two'])
    await new Promise((done, failed) => {
      http
        .get({ agent, host, path }, (response) => {
          response.on('data', (text) => process.stdout.write(text)).on('end', done);
        })
        .on('error', failed);
    });
  agent.destroy();
}
