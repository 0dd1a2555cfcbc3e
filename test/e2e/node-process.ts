import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';

/** The repository's root folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface NodeProcess {
  readonly pid: number;
  /** What it has written so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended and all its output was read. `code` is null where a signal ended it. */
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/**
 * Starts `node <args>` with exactly the variables `env`, so that nothing of the machine's own settings leaks in.
 * Killed at the end of the test, if it has not ended by then.
 */
export function startNode(
  args: readonly string[],
  { env, cwd }: { readonly env: Readonly<Record<string, string>>; readonly cwd: string },
): NodeProcess {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (data: string) => (stdout += data));
  child.stderr.setEncoding('utf8').on('data', (data: string) => (stderr += data));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    pid: child.pid as number,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** The URL that a service which was started by `startNode` logs when it listens. */
export async function listeningUrl(service: NodeProcess): Promise<string> {
  await expect.poll(() => service.stdout() + service.stderr(), { timeout: 15_000 }).toContain('"url":"');
  return /"url":"([^"]+)"/.exec(service.stdout())?.[1] as string;
}
