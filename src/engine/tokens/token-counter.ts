/** Counts the tokens of prompts. A port of its own, for tokenizers are large and no engine needs one to run batches. */
export interface TokenCounter {
  /** What it counts by, e.g. `o200k_base`. */
  readonly method: string;
  /**
   * Tokens of the prompt in a request's body (a JSON object), which is not held up by it: not in this thread. Of a long prompt
   * only the first `maxCharacters` are counted, and the rest is taken to be like them. Rejects where counting fails.
   */
  count(body: Uint8Array, maxCharacters: number): Promise<number>;
  /** Ends what is under way. */
  close(): Promise<void>;
}
