import type { Usage } from '../batches/batch.ts';
import { asBuffer } from '../bytes.ts';

/** The member `usage` as servers send it: all of it is theirs, so nothing of it is certain. */
interface WireUsage {
  readonly prompt_tokens?: unknown;
  readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
  readonly completion_tokens?: unknown;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: unknown } | null;
  readonly input_tokens?: unknown;
  readonly input_tokens_details?: { readonly cached_tokens?: unknown } | null;
  readonly output_tokens?: unknown;
  /** Of a message: `thinking_tokens`. */
  readonly output_tokens_details?: {
    readonly reasoning_tokens?: unknown;
    readonly thinking_tokens?: unknown;
  } | null;
  readonly total_tokens?: unknown;
  /** Of the Messages API, whose `input_tokens` are those that the cache had no part in. */
  readonly cache_read_input_tokens?: unknown;
  readonly cache_creation_input_tokens?: unknown;
}

/** What takes more than this is no usage, and not worth parsing. */
const MAX_USAGE_BYTES = 64 * 1024;

/**
 * Reads the `usage` of an answer, the valid JSON in [start, end): of a chat completion or an embedding (`prompt_tokens`,
 * `completion_tokens`), of a response (`input_tokens`, `output_tokens`) or of a message (those, and beside them what was read
 * from the cache and written to it). Null where there is none (`start` is −1), it is no object or absurdly long. What is no
 * number of at least 0 counts as absent: 0, or for the total the sum of input and output. Fractions are cut; counts end at
 * 2^53 − 1.
 */
export function readUsage(bytes: Uint8Array, start: number, end: number): Usage | null {
  if (start === -1 || end - start > MAX_USAGE_BYTES) return null;
  const parsed: unknown = JSON.parse(asBuffer(bytes).toString('utf8', start, end));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  const usage: WireUsage = parsed;
  const reasoningTokens =
    (usage.completion_tokens_details ?? usage.output_tokens_details)?.reasoning_tokens ??
    usage.output_tokens_details?.thinking_tokens;
  const { inputTokens, cachedTokens } = readInput(usage);
  const outputTokens = readCount(usage.completion_tokens ?? usage.output_tokens) ?? 0;
  return {
    inputTokens,
    cachedTokens,
    outputTokens,
    reasoningTokens: readCount(reasoningTokens) ?? 0,
    totalTokens: readCount(usage.total_tokens) ?? sum(inputTokens, outputTokens),
  };
}

/**
 * All tokens of the input, and those of them that the cache had. Some servers of the other APIs add the cache's members of the
 * Messages API; but their own count is of all tokens already.
 */
function readInput(usage: WireUsage): Pick<Usage, 'inputTokens' | 'cachedTokens'> {
  const details = usage.prompt_tokens_details ?? usage.input_tokens_details;
  const inputTokens = readCount(usage.prompt_tokens ?? usage.input_tokens) ?? 0;
  const cacheRead = readCount(usage.cache_read_input_tokens) ?? 0;
  if (usage.prompt_tokens != null || details != null) {
    return { inputTokens, cachedTokens: readCount(details?.cached_tokens) ?? 0 };
  }
  const cacheCreation = readCount(usage.cache_creation_input_tokens) ?? 0;
  return { inputTokens: sum(sum(inputTokens, cacheRead), cacheCreation), cachedTokens: cacheRead };
}

/** The sum of two usages; its counts end at 2^53 − 1. */
export function addUsage(a: Usage, b: Usage): Usage {
  return {
    inputTokens: sum(a.inputTokens, b.inputTokens),
    cachedTokens: sum(a.cachedTokens, b.cachedTokens),
    outputTokens: sum(a.outputTokens, b.outputTokens),
    reasoningTokens: sum(a.reasoningTokens, b.reasoningTokens),
    totalTokens: sum(a.totalTokens, b.totalTokens),
  };
}

function readCount(value: unknown): number | null {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return null;
  return Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER);
}

function sum(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}
