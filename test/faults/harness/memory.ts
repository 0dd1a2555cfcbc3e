import { readFileSync } from 'node:fs';

/** The most memory that the process has ever had, bytes; null where the system does not tell. */
export function peakMemoryBytes(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  } catch {
    return null;
  }
}
