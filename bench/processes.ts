/** Child processes of the benchmark: started on a core of their own, measured from outside through /proc. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Clock ticks a second in /proc/<pid>/stat; 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

const canPin = availableParallelism() >= 2 && spawnSync('taskset', ['--version']).status === 0;

/** Where the parts run, for the report. */
export const placement = canPin
  ? 'pinned: one core for what is measured, another for the upstream'
  : 'not pinned';

/** Starts `node <args>` with an IPC channel, on core `core` where there are two; null: on any. */
export function startNode(
  core: 0 | 1 | null,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): ChildProcess {
  const command =
    canPin && core !== null
      ? ['taskset', '-c', String(core), process.execPath, ...args]
      : [process.execPath, ...args];
  return spawn(command[0] as string, command.slice(1), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
}

/** The first IPC message of a child. Rejects where it ends before it says anything. */
export async function firstMessage<T>(child: ChildProcess): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    child.once('message', (message) => resolve(message as T));
    child.once('exit', (code) => reject(new Error(`a process of the benchmark ended with code ${code}`)));
  });
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** CPU seconds (user and system) that the process has used so far, all its threads. */
export function cpuSeconds(pid: number): number {
  const [user, system] = cpuTicks(pid);
  return (user + system) / TICKS_PER_SECOND;
}

/** The same, of the process and all that it ever started and that are direct children of it. */
export function treeCpuSeconds(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean);
  const ended = cpuTicks(pid).reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_SECOND;
  return children.reduce((sum, child) => sum + cpuSeconds(Number(child)), ended);
}

/** Ticks of the process itself, user and system, and of its children that have ended; zeros where it is gone. */
function cpuTicks(pid: number): [number, number, number, number] {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return [Number(fields[11]), Number(fields[12]), Number(fields[13]), Number(fields[14])];
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [0, 0, 0, 0];
    throw error;
  }
}

/** The largest resident size that the process ever had, bytes. */
export function peakMemoryBytes(pid: number): number {
  const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) * 1024;
}
