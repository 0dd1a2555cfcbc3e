/** What the service has logged, as far as an operator must see it. */
import type { ServiceProcess } from './service-process.ts';

interface LogLine {
  readonly level: number;
  readonly msg: string;
}

const WARN = 40;

/** The warnings and errors that it logged after the first `from` characters of its output. */
export function troubles(service: ServiceProcess, from = 0): LogLine[] {
  return service
    .output()
    .slice(from)
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as LogLine];
      } catch {
        // Half a line, or one of a wrapper.
        return [];
      }
    })
    .filter((line) => line.level >= WARN);
}
