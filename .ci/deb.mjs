/**
 * Builds spines_VERSION_ARCH.deb of this checkout: `npm run deb -- [--version V] [--out DIR]`.
 *
 * The package brings its own Node (the one that runs this), since Debian's may be older than 20.19,
 * the program with what it needs of node_modules, man pages, completion and the systemd unit. It
 * makes the service's user and starts nothing by itself; an upgrade restarts a daemon that runs,
 * and touches no file in /etc/spines; purge leaves nothing. Needs dpkg-deb; nothing is downloaded.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version: released } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { values } = parseArgs({
  options: {
    version: { type: 'string', default: released },
    out: { type: 'string', default: '.' },
  },
});
const { version, out } = values;
const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];
if (arch === undefined) throw new Error(`no Debian architecture is known for ${process.arch}`);
const stage = mkdtempSync(join(tmpdir(), 'spines-deb-'));
const LIB = 'usr/lib/spines';

const UNIT_HOME = '/usr/local/bin/spines';
const SCRIPTS = {
  postinst: `#!/bin/sh
set -e
if [ "$1" = configure ]; then
  getent passwd spines >/dev/null || useradd --system --user-group \\
    --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin spines
  install -d -m 750 -o root -g spines /etc/spines
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # Never on a first installation: there is no config yet.
    [ -z "$2" ] || systemctl try-restart spines.service || true
  fi
fi
`,
  prerm: `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now spines.service || true
fi
`,
  postrm: `#!/bin/sh
set -e
if [ "$1" = purge ]; then
  rm -rf /etc/spines /var/lib/spines /run/spines
  if getent passwd spines >/dev/null; then userdel spines; fi
  if getent group spines >/dev/null; then groupdel spines; fi
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
`,
};

function put(path, text, mode = 0o644) {
  mkdirSync(dirname(join(stage, path)), { recursive: true });
  writeFileSync(join(stage, path), text);
  chmodSync(join(stage, path), mode);
}

function copy(from, to, filter = () => true) {
  cpSync(from, join(stage, to), { recursive: true, dereference: true, filter });
}

/** Maps and types are for who develops. */
const runs = (path) => !/\.(?:map|d\.[cm]?ts|tsbuildinfo)$/.test(path);

/** Folders of the packages that the program needs when it runs. */
function needed() {
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  // The client library is linked into node_modules of the checkout, and is copied by itself.
  return listed
    .split('\n')
    .filter((path) => path.includes('node_modules') && !path.endsWith('/spines-client'));
}

try {
  for (const room of ['cli', 'core', 'dashboard', 'host', 'lab', 'text'])
    copy(join(root, 'dist', room), join(LIB, 'dist', room), runs);
  for (const file of ['package.json', 'topologies', 'examples', 'LICENSE'])
    copy(join(root, file), join(LIB, file));
  for (const path of needed()) {
    const to = relative(root, path);
    copy(realpathSync(path), join(LIB, to), (each) => {
      const inner = relative(realpathSync(path), each);
      return runs(each) && !/^(?:node_modules|tests?)(?:\/|$)/.test(inner);
    });
  }
  copy(
    join(root, 'spines-client/package.json'),
    join(LIB, 'node_modules/spines-client/package.json'),
  );
  copy(join(root, 'spines-client/dist'), join(LIB, 'node_modules/spines-client/dist'), runs);
  copy(process.execPath, join(LIB, 'node'));
  put('usr/bin/spines', `#!/bin/sh\nexec /${LIB}/node /${LIB}/dist/cli/main.js "$@"\n`, 0o755);

  const unit = readFileSync(join(root, 'examples/spines.service'), 'utf8');
  if (!unit.includes(UNIT_HOME)) throw new Error('the unit runs something else');
  put('usr/lib/systemd/system/spines.service', unit.replace(UNIT_HOME, '/usr/bin/spines'));
  const spines = (...args) =>
    execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], { encoding: 'utf8' });
  const man = join(stage, 'man');
  spines('reference', 'man', '--out', man);
  for (const page of readdirSync(man)) {
    const text = readFileSync(join(man, page));
    put(`usr/share/man/man${page.at(-1)}/${page}`, text);
    execFileSync('gzip', ['-9n', join(stage, `usr/share/man/man${page.at(-1)}`, page)]);
  }
  rmSync(man, { recursive: true });
  put('usr/share/bash-completion/completions/spines', spines('completion', 'bash'));
  put('usr/share/zsh/vendor-completions/_spines', spines('completion', 'zsh'));
  put('usr/share/fish/vendor_completions.d/spines.fish', spines('completion', 'fish'));
  copy(join(root, 'LICENSE'), 'usr/share/doc/spines/copyright');

  const kilobytes = Number(execFileSync('du', ['-sk', stage], { encoding: 'utf8' }).split('\t')[0]);
  put(
    'DEBIAN/control',
    [
      'Package: spines',
      `Version: ${version}`,
      `Architecture: ${arch}`,
      'Section: net',
      'Priority: optional',
      'Maintainer: Spines <root@localhost>',
      `Installed-Size: ${kilobytes}`,
      'Depends: libc6, libstdc++6, libgcc-s1, passwd',
      'Description: overlay network of daemons, virtual links and link-state routing',
      ' Messages arrive in time across lossy, failing or hostile networks: hop-by-hop',
      ' recovery, sealed links, Byzantine-resilient routing, a socket-like library.',
      '',
    ].join('\n'),
  );
  for (const [name, text] of Object.entries(SCRIPTS)) put(`DEBIAN/${name}`, text, 0o755);
  // Whatever the umask was: what belongs to root may be read by all, and changed by nobody else.
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', stage]);
  mkdirSync(out, { recursive: true });
  const deb = join(out, `spines_${version}_${arch}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z3', '--build', stage, deb]);
  console.log(`${deb}: ${(statSync(deb).size / 2 ** 20).toFixed(1)} MiB`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
