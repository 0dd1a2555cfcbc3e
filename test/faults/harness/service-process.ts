/** The service as users run it: a process of its own, started from its entry file. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait.ts';

const COMPILE_CACHE = join(tmpdir(), 'anyllm-compile-cache');
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface ServiceOptions {
  readonly dataDir: string;
  /** More variables, or others. The machine's own are not passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** A command to put before Node's, such as `strace` and its options. */
  readonly wrapper?: readonly string[];
  /** Modules that Node loads before the entry file (`--import`): where a fault is injected from inside. */
  readonly preload?: readonly URL[];
}

export interface ServiceProcess {
  /** Of Node itself, also where a wrapper started it. Known once it is ready. */
  readonly pid: number;
  /** E.g. `http://127.0.0.1:4711`; empty until it is ready. */
  readonly url: string;
  /** All that it has logged. */
  readonly output: () => string;
  readonly child: ChildProcess;
  /** How it ended: an exit code, or the name of the signal. */
  readonly ended: Promise<number | string>;
  readonly hasEnded: boolean;
  /** Sends a signal to Node itself, and resolves when the process has ended where that is its end. */
  kill(signal: NodeJS.Signals): void;
}

/** Starts the service; resolves when it is ready or has ended before that, as a fault may have it. */
export async function startServiceProcess(options: ServiceOptions): Promise<ServiceProcess> {
  const { dataDir, env = {}, wrapper = [], preload = [] } = options;
  const command = [
    ...wrapper,
    process.execPath,
    ...preload.map((url) => `--import=${url.href}`),
    '--max-semi-space-size=16',
    'src/main.ts',
  ];
  const child = spawn(command[0] as string, command.slice(1), {
    cwd: ROOT,
    env: {
      PATH: process.env['PATH'] ?? '',
      PORT: '0',
      DATA_DIR: dataDir,
      SHUTDOWN_GRACE_MS: '2000',
      // Half of a start is to read the sources; there are hundreds of starts.
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (data: string) => (output += data));
  }
  const service = {
    pid: child.pid as number,
    url: '',
    output: () => output,
    child,
    ended: once(child, 'close').then(([code, signal]) => {
      service.hasEnded = true;
      return (signal ?? code) as number | string;
    }),
    hasEnded: false,
    kill(signal: NodeJS.Signals): void {
      if (service.hasEnded) return;
      try {
        process.kill(service.pid, signal);
      } catch {
        // It has ended a moment ago.
      }
    },
  };
  await waitFor('the service is ready', () => /"msg":"ready"/.test(output) || service.hasEnded, 60_000);
  service.url = /"url":"([^"]+)"/.exec(output)?.[1] ?? '';
  if (wrapper.length > 0 && !service.hasEnded) service.pid = lockOwner(dataDir);
  return service;
}

/** The process that owns the data folder: behind a wrapper, Node is not the child itself. */
function lockOwner(dataDir: string): number {
  return Number(/^pid (\d+) /.exec(readFileSync(join(dataDir, 'lock-owner'), 'utf8'))?.[1]);
}
