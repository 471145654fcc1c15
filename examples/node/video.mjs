/**
 * A stream like a video call's over realtime links: 30 frames a second of several datagrams, and a
 * meter of delay, jitter (RFC 3550, section 6.4.1) and frames that were whole in time.
 *
 *   node video.mjs watch PORT                 at one node; ends when no more comes
 *   node video.mjs send NODE PORT [SECONDS]   at another
 *
 * The clocks of both are compared by nobody: what the meter says of delay is beyond the quickest.
 */
import { createSocket } from 'spines-client';

const FRAME_MS = 1_000 / 30;
const PARTS = 4;
const PART_BYTES = 1_200;
/** A frame that is whole later than this is not shown. */
const DEADLINE_MS = 150;
const HEAD_BYTES = 14;
/** A stream that is silent for so long is over. */
const SILENT_MS = 1_000;

const now = () => performance.timeOrigin + performance.now();
const [what, ...rest] = process.argv.slice(2);
if (what === 'watch') watch(Number(rest[0]));
else send(rest[0], Number(rest[1]), Number(rest[2] ?? 10));

function send(node, port, seconds) {
  const socket = createSocket({ link: 'realtime', deadlineMs: DEADLINE_MS });
  const part = Buffer.alloc(PART_BYTES);
  const startedAt = now();
  let frame = 0;
  const timer = setInterval(() => {
    // Timers are late at times: what is due by now leaves.
    for (; frame * FRAME_MS <= now() - startedAt; frame += 1) {
      if (frame * FRAME_MS >= seconds * 1_000) {
        clearInterval(timer);
        console.log(`sent ${frame} frames`);
        setTimeout(() => socket.close(), DEADLINE_MS);
        return;
      }
      part.writeUInt32BE(frame, 0);
      part.writeDoubleBE(now(), 4);
      for (let i = 0; i < PARTS; i += 1) {
        part.writeUInt16BE(i, 12);
        socket.send(Buffer.from(part), port, node);
      }
    }
  }, FRAME_MS / 4);
}

function watch(port) {
  const socket = createSocket({ link: 'realtime', deadlineMs: DEADLINE_MS });
  const frames = new Map();
  let quickest = Infinity,
    before = null,
    jitter = 0,
    whole = 0,
    highest = -1,
    over;
  const delays = [];
  socket.on('message', (part) => {
    if (part.length < HEAD_BYTES) return;
    clearTimeout(over);
    over = setTimeout(report, SILENT_MS);
    const frame = part.readUInt32BE(0);
    const transit = now() - part.readDoubleBE(4);
    quickest = Math.min(quickest, transit);
    if (before !== null) jitter += (Math.abs(transit - before) - jitter) / 16;
    before = transit;
    highest = Math.max(highest, frame);
    const parts = (frames.get(frame) ?? 0) + 1;
    frames.set(frame, parts);
    if (parts < PARTS) return;
    frames.delete(frame);
    delays.push(transit);
    whole += 1;
  });
  socket.bind(port, () => console.log('ready'));
  function report() {
    const late = delays.map((delay) => delay - quickest).sort((a, b) => a - b);
    const at = (share) => (late[Math.floor(share * (late.length - 1))] ?? 0).toFixed(1);
    console.log(
      `${whole} of ${highest + 1} frames whole; delay beyond the quickest ${at(0.5)} ms (half), ` +
        `${at(0.99)} ms (99 %); jitter ${jitter.toFixed(1)} ms`,
    );
    socket.close();
  }
}
