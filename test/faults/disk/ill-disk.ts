/** A disk that fails: `strace`, attached to the running service, answers its system calls with an error. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Scope } from '../harness/scope.ts';
import type { ServiceProcess } from '../harness/service-process.ts';
import { waitFor } from '../harness/wait.ts';

export interface Illness {
  /** System calls that fail, e.g. `fsync,fdatasync`. */
  readonly calls: string;
  /** What with, e.g. `EIO`. */
  readonly error: string;
  /** Only on this file; default: on all. */
  readonly path?: string;
}

/** Makes the disk ill for this service until the answer is called, or the service or the try ends. */
export async function makeIll(
  scope: Scope,
  service: ServiceProcess,
  { calls, error, path }: Illness,
): Promise<() => Promise<void>> {
  const filter = path === undefined ? [] : ['-P', path];
  const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:error=${error}`];
  const strace = spawn('strace', ['-f', '-p', String(service.pid), ...filter, ...inject, '-o', '/dev/null'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(strace, 'close');
  let said = '';
  let hasEnded = false;
  strace.stderr.setEncoding('utf8').on('data', (data: string) => (said += data));
  strace.once('close', () => (hasEnded = true));
  const heal = async (): Promise<void> => {
    if (!hasEnded) strace.kill('SIGINT');
    await closed;
  };
  scope.defer(heal);
  await waitFor(`strace is attached: ${said}`, () => / attached/.test(said) || hasEnded, 20_000);
  if (hasEnded) throw new Error(`strace could not be attached: ${said}`);
  return heal;
}
