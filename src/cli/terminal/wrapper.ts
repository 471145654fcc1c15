/**
 * Run by `npx`, a command ends with it.
 *
 * npx starts a shell, which starts us. A signal to npx goes to the shell, which dies of it and
 * passes nothing on: the daemon would run on, without anybody knowing. Who runs us from elsewhere
 * may leave, as with `nohup` or `disown`.
 */

const LOOK_MS = 250;

/** Sends this process SIGTERM when the shell of npx is gone. Call once. */
export function endWithNpx(): void {
  const { npm_lifecycle_event: event, npm_lifecycle_script: script } = process.env;
  if (event !== 'npx' || !/^['"]?spines['"]?( |$)/.test(script ?? '')) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MS);
  timer.unref();
}
