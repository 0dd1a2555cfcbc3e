/** Answers with an error status. */
import { answerOf } from '../server.ts';
import type { Misdeed } from './misdeed.ts';

/** An error status; with `headers` where a server says itself whether to try again. */
export function answersStatus(status: number, isRetried: boolean, headers = ''): Misdeed {
  return {
    name: `answers ${[status, headers.trim()].filter(Boolean).join(' with ')}`,
    serve: (call) => call.write(answerOf(call.goodBody, { status, headers })),
    end: { status },
    isRetried,
  };
}

export const statuses: readonly Misdeed[] = [
  ...[400, 401, 404, 413, 422].map((status) => answersStatus(status, false)),
  ...[408, 409, 429, 500, 502, 503, 504, 529].map((status) => answersStatus(status, true)),
  answersStatus(503, false, 'x-should-retry: false\r\n'),
  answersStatus(400, true, 'x-should-retry: true\r\n'),
];
