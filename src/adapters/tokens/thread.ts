/** The program of the thread that counts: it alone loads the tokenizer, which takes 0.2 s and some 80 MB. */
import { parentPort } from 'node:worker_threads';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { readPromptText } from '../../engine/tokens/prompt-text.ts';

/** What the thread is told. */
export interface CountRequest {
  readonly id: number;
  readonly body: Uint8Array;
  readonly maxCharacters: number;
}

/** What the thread answers. */
export interface CountAnswer {
  readonly id: number;
  readonly tokens: number;
}

/** The time for a text without blanks grows with the square of its length: 12 ms for this many, minutes for a million. */
const SLICE_CHARACTERS = 2048;
/** What looks like a special token in somebody's text is text. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

parentPort?.on('message', ({ id, body, maxCharacters }: CountRequest) => {
  const prompt = readPromptText(body, maxCharacters);
  const counted = prompt.texts.reduce((sum, text) => sum + countText(text), 0);
  const answer: CountAnswer = { id, tokens: counted * prompt.scale + prompt.tokens };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- windows have origins, threads do not
  parentPort?.postMessage(answer);
});

function countText(text: string): number {
  let tokens = 0;
  for (let at = 0; at < text.length; at += SLICE_CHARACTERS) {
    tokens += countTokens(text.slice(at, at + SLICE_CHARACTERS), AS_TEXT);
  }
  return tokens;
}
