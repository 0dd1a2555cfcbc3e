/** The text of a request that its model reads, found in the bytes of its body without building a value. */
import { stringAt } from '../json/json-spans.ts';
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  isSpace,
  OPEN_ARRAY,
  OPEN_OBJECT,
  passScalar,
  passString,
  QUOTE,
} from '../json/json-tokens.ts';

/** Numbers begin below it, `true`, `false` and `null` above. */
const LOWEST_LETTER = 0x41;

/** Members of a body that hold what the model reads. */
const PROMPTS = new Set(['messages', 'input', 'prompt', 'instructions']);
/** Members of messages and of their parts that hold text; all others (roles, images, …) do not. */
const TEXTS = new Set(['content', 'text']);
/** What is nested deeper within a prompt is nobody's message. */
const MAX_DEPTH = 16;

export interface PromptText {
  /** The texts, in order, up to some length. */
  readonly texts: readonly string[];
  /** The length of all texts, divided by that of those in `texts`; 1 where these are all, or there are none. */
  readonly scale: number;
  /** Numbers where texts may stand: embeddings and completions take tokens, too. */
  readonly tokens: number;
}

/**
 * Reads the prompt of a request: what stands in `messages`, `input`, `prompt` and `instructions`, strings themselves and
 * the `content` and `text` of messages and parts. `body` is valid JSON, an object. At most `maxCharacters` of text are
 * answered. Memory: the longest string.
 */
export function readPromptText(body: Uint8Array, maxCharacters: number): PromptText {
  return new PromptReader(body, maxCharacters).read();
}

class PromptReader {
  readonly #bytes: Uint8Array;
  readonly #texts: string[] = [];
  #roomLeft: number;
  #charactersTaken = 0;
  #characters = 0;
  #tokens = 0;
  #at = 0;

  constructor(bytes: Uint8Array, maxCharacters: number) {
    this.#bytes = bytes;
    this.#roomLeft = maxCharacters;
  }

  read(): PromptText {
    this.#passSpace();
    this.#passObject((name) => (PROMPTS.has(name) ? 0 : null));
    const scale = this.#charactersTaken === 0 ? 1 : this.#characters / this.#charactersTaken;
    return { texts: this.#texts, scale, tokens: this.#tokens };
  }

  /** Passes a value; `depth` is null outside of a prompt. */
  #passValue(depth: number | null): void {
    const first = this.#bytes[this.#at];
    if (depth === null || depth > MAX_DEPTH) this.#passAny();
    else if (first === QUOTE) this.#passText();
    else if (first === OPEN_ARRAY) this.#passItems(() => this.#passValue(depth + 1));
    else if (first === OPEN_OBJECT) this.#passObject((name) => (TEXTS.has(name) ? depth + 1 : null));
    else this.#passNumber();
  }

  #passObject(depthOf: (name: string) => number | null): void {
    this.#passItems(() => {
      const name = this.#readString();
      this.#passSpace();
      this.#at++;
      this.#passSpace();
      this.#passValue(depthOf(name));
    });
  }

  /** Passes a container whose items or members `passItem` passes. */
  #passItems(passItem: () => void): void {
    for (;;) {
      // Past the bracket, or the comma.
      this.#at++;
      this.#passSpace();
      if (!this.#isAtEnd()) passItem();
      this.#passSpace();
      if (!this.#isAtEnd()) continue;
      this.#at++;
      return;
    }
  }

  #passText(): void {
    const text = this.#readString();
    const taken = text.slice(0, this.#roomLeft);
    this.#characters += text.length;
    this.#charactersTaken += taken.length;
    this.#roomLeft -= taken.length;
    if (taken !== '') this.#texts.push(taken);
  }

  /** A number counts; `true`, `false` and `null` do not. */
  #passNumber(): void {
    if ((this.#bytes[this.#at] as number) < LOWEST_LETTER) this.#tokens++;
    this.#passScalar();
  }

  /** Passes a value of any depth without a look at it. */
  #passAny(): void {
    let open = 0;
    do {
      const byte = this.#bytes[this.#at] as number;
      if (byte === QUOTE) this.#passString();
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        open++;
        this.#at++;
      } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
        open--;
        this.#at++;
      } else if (open > 0) this.#at++;
      else this.#passScalar();
    } while (open > 0);
  }

  #passString(): void {
    this.#at = passString(this.#bytes, this.#at, this.#bytes.length);
  }

  #readString(): string {
    const start = this.#at;
    this.#passString();
    return stringAt(this.#bytes, start, this.#at);
  }

  #passScalar(): void {
    this.#at = passScalar(this.#bytes, this.#at, this.#bytes.length);
  }

  #passSpace(): void {
    while (isSpace(this.#bytes[this.#at])) this.#at++;
  }

  #isAtEnd(): boolean {
    const byte = this.#bytes[this.#at];
    return byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;
  }
}
