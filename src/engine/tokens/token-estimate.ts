/** How many tokens the prompts of a file have, told from some of them. */
import type { EngineContext } from '../context.ts';
import type { FileRecord } from '../files/file.ts';
import type { ValidLine } from '../input/validate.ts';

/** Requests that are counted at the most. */
const MAX_SAMPLES = 200;
/** Text that is counted at the most, in all. */
const MAX_CHARACTERS = 1024 * 1024;
/** About so much is read at the most, unless single bodies are larger. */
const MAX_READ_BYTES = 32 * 1024 * 1024;

export interface TokenEstimate {
  readonly method: string;
  readonly sampledRequests: number;
  /** Of all requests without fault. */
  readonly inputTokens: number;
}

/** Where the body of one request lies in the file. */
interface BodySpan {
  readonly start: number;
  readonly length: number;
}

/**
 * Bodies that are spread evenly over a file whose length is not known before its end: one of each run of so many lines,
 * and where these become too many, one of each two of them. Which one is left to chance (the same for the same file), so
 * that a file whose lines alternate is not told by one kind of them.
 */
export class BodySample {
  #spans: BodySpan[] = [];
  #runLength = 1;
  #inRun = 0;
  #chosen = 0;
  #random = 1;
  #bytes = 0;

  /** The bodies of all lines, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  add({ offset, bodyStart, bodyEnd }: ValidLine): void {
    const length = bodyEnd - bodyStart;
    this.#bytes += length;
    if (this.#inRun === 0) this.#beginRun();
    if (this.#inRun === this.#chosen) this.#spans.push({ start: offset + bodyStart, length });
    this.#inRun = (this.#inRun + 1) % this.#runLength;
  }

  /** The chosen bodies: fewer of them where they are large. */
  get spans(): readonly BodySpan[] {
    const bytes = this.#spans.reduce((sum, { length }) => sum + length, 0);
    const step = Math.max(1, Math.ceil(bytes / MAX_READ_BYTES));
    return this.#spans.filter((_span, i) => i % step === 0);
  }

  #beginRun(): void {
    if (this.#spans.length === MAX_SAMPLES) {
      this.#spans = this.#spans
        .filter((_span, i) => i % 2 === 0)
        .map((span, i) => (this.#below(2) === 0 ? span : (this.#spans[2 * i + 1] ?? span)));
      this.#runLength *= 2;
    }
    this.#chosen = this.#below(this.#runLength);
  }

  /** A pseudo-random whole number from 0 to `limit` − 1. */
  #below(limit: number): number {
    // A counter whose bits are mixed (as in text-set.ts): the low bits of simpler generators are not random at all.
    let hash = (this.#random = (this.#random + 0x9e3779b9) | 0);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0) % limit;
  }
}

/**
 * Counts the sampled bodies and infers, by bytes, what all have. Null where nothing can count. Rejects where storage fails
 * or `signal` aborts.
 */
export async function estimateTokens(
  ctx: EngineContext,
  file: FileRecord,
  sample: BodySample,
  signal: AbortSignal | undefined,
): Promise<TokenEstimate | null> {
  const { tokens: counter, blobs, log } = ctx;
  if (counter === null) return null;
  const { spans } = sample;
  const maxCharacters = Math.ceil(MAX_CHARACTERS / Math.max(1, spans.length));
  let tokens = 0;
  let bytes = 0;
  for (const { start, length } of spans) {
    signal?.throwIfAborted();
    const body = await blobs.readRange(file.blob.key, start, length);
    const counted = await counter.count(body, maxCharacters).catch((error: unknown) => {
      log.error({ err: error }, 'tokens cannot be counted');
      return null;
    });
    if (counted === null) return null;
    tokens += counted;
    bytes += length;
  }
  const inputTokens = bytes === 0 ? 0 : Math.round((tokens * sample.bytes) / bytes);
  return { method: counter.method, sampledRequests: spans.length, inputTokens };
}
