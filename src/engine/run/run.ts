/** What one attempt means for its line: another attempt, or its result line. */
import type { Usage } from '../batches/batch.ts';
import { NO_USAGE } from '../batches/batch.ts';
import type { Line } from './chunk-run.ts';
import type { EngineContext } from '../context.ts';
import { createJsonScanner } from '../json/json-scan.ts';
import type { Outcome } from '../ports.ts';
import { answerLine, errorLine, textAnswerLine } from './result.ts';
import type { ResultLine } from './result.ts';
import { decideRetry } from './retry.ts';
import { readUsage } from './usage.ts';

/** A finished line and its output line. */
export interface LineResult {
  readonly line: ResultLine;
  /** True: output file; false: error file. */
  readonly succeeded: boolean;
  readonly usage: Usage;
}

export type Verdict =
  | { readonly kind: 'finished'; readonly result: LineResult }
  /** Not before `delayMs` have passed; counts as a retry. */
  | { readonly kind: 'again'; readonly delayMs: number }
  /** The upstream is down; the line was never sent and waits for it, uncounted. */
  | { readonly kind: 'unreachable'; readonly message: string }
  | { readonly kind: 'aborted' };

/** One scan both checks an answer and finds its `usage`, the only part that is ever parsed. */
const answerScanner = createJsonScanner(['usage']);

/** A longer body that is not JSON is not made a string of: with escapes for all its bytes that would be too long a one. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** Judges one attempt. Pure but for the clock and `random` (in [0, 1), spreads the retries). */
export function judgeAttempt(ctx: EngineContext, line: Line, outcome: Outcome, random: number): Verdict {
  if (outcome.kind === 'aborted') return outcome;
  if (outcome.kind === 'unreachable') return outcome;
  const { batch } = line.run;
  const retry = decideRetry(outcome, line.retries, ctx.clock.now(), batch.expiresAt, random, ctx.settings);
  if (retry.kind === 'again') return retry;
  return { kind: 'finished', result: resultOf(line, outcome) };
}

function resultOf(line: Line, outcome: Outcome & { kind: 'answer' | 'failed' }): LineResult {
  if (outcome.kind === 'failed') return failedResult(line, outcome.code, outcome.message);
  const { status, body } = outcome;
  const requestId = outcome.requestId ?? line.id.replace('batch_', '');
  const succeeded = status >= 200 && status < 300;
  if (answerScanner.scan(body, 0, body.length)) {
    const hasLineBreaks = answerScanner.lineBreaks;
    const usage = succeeded ? readUsage(body, answerScanner.start(0), answerScanner.end(0)) : null;
    const { id, customId } = line;
    const written = answerLine({ id, customId, status, requestId, body, hasLineBreaks });
    return { line: written, succeeded, usage: usage ?? NO_USAGE };
  }
  if (succeeded || body.length > MAX_TEXT_BYTES) {
    return failedResult(line, 'invalid_response', notJsonMessage(outcome));
  }
  const written = textAnswerLine({ id: line.id, customId: line.customId, status, requestId, body });
  return { line: written, succeeded: false, usage: NO_USAGE };
}

function notJsonMessage(outcome: Outcome & { kind: 'answer' }): string {
  const start = `The upstream answered ${outcome.status} with a body that is not valid JSON`;
  if (outcome.contentEncoding !== null && outcome.contentEncoding !== 'identity') {
    return `${start}: it is encoded as '${outcome.contentEncoding}', which was not asked for.`;
  }
  if (outcome.body.length === 0) return `${start}: it is empty.`;
  return `${start}: ${answerScanner.errorReason} at byte ${answerScanner.errorAt} of ${outcome.body.length}.`;
}

/** The error line of a line that got no usable answer. */
export function failedResult(line: Line, code: string, message: string): LineResult {
  const written = errorLine({ id: line.id, customId: line.customId, code, message });
  return { line: written, succeeded: false, usage: NO_USAGE };
}
