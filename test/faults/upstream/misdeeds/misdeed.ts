import type { ServedCall } from '../server.ts';

/** How a line whose last attempt met it ends: the status of an answer, or the code of an error line without one. */
export type End = { readonly status: number } | { readonly code: string };

/** Something that an upstream does with a request, and what the service must make of it. */
export interface Misdeed {
  readonly name: string;
  readonly serve: (call: ServedCall) => unknown;
  readonly end: End;
  /** Whether policy tries the line again, as long as it has retries left. */
  readonly isRetried: boolean;
  /** True where only the time limit ends the attempt. */
  readonly timesOut?: boolean;
  /** What the upstream says how long to wait for the next attempt, milliseconds; in place of the policy's own wait. */
  readonly asksToWaitMs?: number;
}

/** Attempts that fail without an answer, and are made again. */
export function failures(code: string, serves: Readonly<Record<string, Misdeed['serve']>>): Misdeed[] {
  return Object.entries(serves).map(([name, serve]) => ({ name, serve, end: { code }, isRetried: true }));
}
