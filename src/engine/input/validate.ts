import { setImmediate } from 'node:timers/promises';
import type { BatchError } from '../batches/batch.ts';
import {
  duplicateCustomId,
  emptyFile,
  fileTooLarge,
  lineTooLong,
  mismatchedModel,
  modelNotFound,
  toBatchError,
  tooManyErrors,
  tooManyTasks,
} from './faults.ts';
import type { Fault } from './faults.ts';
import { createLineChecker } from './line.ts';
import type { LineChecker, LineParts, RightLine } from './line.ts';
import { splitLines } from './lines.ts';
import type { LineBatch } from './lines.ts';
import { TextSet } from './text-set.ts';

/** Errors that are told one by one; the rest are counted. */
const MAX_ERRORS = 100;
/** After this long the event loop gets a turn. A batch of lines takes no longer than that either. Milliseconds. */
const TURN_MS = 2;

export interface ValidationRules {
  /** What every line's `url` must be, e.g. `/v1/chat/completions`; left out, any string will do. */
  readonly endpoint?: string | undefined;
  /** Most requests in the file. */
  readonly maxLines: number;
  /** Longest line, bytes without its line break. */
  readonly maxLineBytes: number;
  /** Largest file, bytes. */
  readonly maxBytes: number;
  /** True: all lines must name the same model. */
  readonly oneModel?: boolean | undefined;
  /** Null where the model is accepted, else a sentence that says why not. Asked once for each model. */
  readonly refusesModel?: ((model: string) => string | null) | undefined;
}

/** A line without fault. Its parts are counted from its first byte. */
export interface ValidLine extends LineParts {
  /** 1-based; blank lines are counted. */
  readonly number: number;
  /** Where its bytes lie in the stream, without the line break. */
  readonly offset: number;
  readonly length: number;
  readonly model: string;
  readonly customId: string;
}

export interface ValidationResult {
  /** Lines that hold a request, faulty ones included; blank ones are not. */
  readonly lines: number;
  /** Bytes read: all, unless a limit of the file was passed. */
  readonly bytes: number;
  /** The models of the lines without fault, in the order of their first line, and how many lines name each. */
  readonly models: ReadonlyMap<string, number>;
  /**
   * Empty: the file is valid. Else the first 100 errors in the order of the file, and where there are more of
   * them, a last one (code `too_many_errors`, line null) that says how many.
   */
  readonly errors: readonly BatchError[];
  /** How many errors were found beyond the first 100. */
  readonly moreErrors: number;
}

/**
 * Validates the input file of a batch while it streams by: one JSON request a line, as the Batch API takes them.
 * Needs no server, so it serves to check a file before it is uploaded:
 *
 *     const result = await validateJsonl(fs.createReadStream('input.jsonl'), {
 *       endpoint: '/v1/chat/completions', maxLines: 50_000, maxLineBytes: 16 << 20, maxBytes: 200 << 20,
 *     });
 *     for (const { line, code, message } of result.errors) console.error(line, code, message);
 *
 * One error a line is told, the first. Reading stops at the line that is too many, or where the file is too large.
 * `onLine` is called for each line without fault, in order, also in files that have faults elsewhere. The event loop
 * is not held for more than some milliseconds, save by a single line of megabytes. Memory: one source buffer, one
 * line, and the custom_ids (some 25 bytes a line). Rejects only with what `source`, `refusesModel` or `onLine` throws.
 */
export async function validateJsonl(
  source: AsyncIterable<Uint8Array>,
  rules: ValidationRules,
  onLine: (line: ValidLine) => void = () => {},
): Promise<ValidationResult> {
  const validation = new Validation(rules, onLine);
  let turnAt = performance.now();
  for await (const batch of splitLines(validation.countBytes(source), rules)) {
    validation.check(batch);
    if (validation.stopped) break;
    if (performance.now() - turnAt < TURN_MS) continue;
    await setImmediate();
    turnAt = performance.now();
  }
  return validation.finish();
}

class Validation {
  /** True once a limit of the file was passed. */
  stopped = false;
  readonly #rules: ValidationRules;
  readonly #onLine: (line: ValidLine) => void;
  readonly #checker: LineChecker;
  readonly #customIds = new TextSet();
  readonly #models = new Map<string, number>();
  /** What `refusesModel` said. */
  readonly #refusals = new Map<string, string | null>();
  /** The first model and its line. */
  #expected: { readonly model: string; readonly line: number } | null = null;
  readonly #errors: BatchError[] = [];
  #moreErrors = 0;
  #lines = 0;
  #bytes = 0;

  constructor(rules: ValidationRules, onLine: (line: ValidLine) => void) {
    this.#rules = rules;
    this.#onLine = onLine;
    this.#checker = createLineChecker({ endpoint: rules.endpoint });
  }

  /** Passes the source on, until it is larger than allowed. */
  async *countBytes(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const bytes of source) {
      this.#bytes += bytes.length;
      if (this.#bytes > this.#rules.maxBytes) {
        this.#report(fileTooLarge(this.#rules.maxBytes, this.#bytes), null);
        this.stopped = true;
        return;
      }
      yield bytes;
    }
  }

  check(batch: LineBatch): void {
    // A file that is too large was cut: what looks like its last line is not to be judged.
    if (this.stopped) return;
    if (batch.tooLong !== null && this.#countLine(batch.tooLong.number)) {
      this.#report(lineTooLong(this.#rules.maxLineBytes, batch.tooLong.length), batch.tooLong.number);
    }
    for (let i = 0; i < batch.starts.length && !this.stopped; i++) this.#checkLine(batch, i);
  }

  /** The result, once all batches were checked or the validation stopped. */
  finish(): ValidationResult {
    if (this.#lines === 0 && !this.stopped) this.#report(emptyFile(), null);
    const more = this.#moreErrors;
    return {
      lines: this.#lines,
      bytes: this.#bytes,
      models: this.#models,
      errors: more === 0 ? this.#errors : [...this.#errors, toBatchError(tooManyErrors(more), null)],
      moreErrors: more,
    };
  }

  #checkLine(batch: LineBatch, i: number): void {
    const [start, end, number] = [
      batch.starts[i] as number,
      batch.ends[i] as number,
      batch.numbers[i] as number,
    ];
    if (!this.#countLine(number)) return;
    const line = this.#checker.check(batch.bytes, start, end);
    const fault = line.fault ?? this.#findConflict(line, number);
    if (fault !== null) return this.#report(fault, number);
    const right = line as RightLine;
    this.#models.set(right.model, (this.#models.get(right.model) ?? 0) + 1);
    this.#onLine(validLine(right, number, batch.offset + start, end - start));
  }

  /** False, and the end of the validation, where the line is one too many. */
  #countLine(number: number): boolean {
    if (this.#lines === this.#rules.maxLines) {
      this.#report(tooManyTasks(this.#rules.maxLines), number);
      this.stopped = true;
      return false;
    }
    this.#lines++;
    return true;
  }

  /** What a line that is right by itself has against the other lines and the server's models. */
  #findConflict({ customId, model }: RightLine, number: number): Fault | null {
    if (!this.#customIds.add(customId)) return duplicateCustomId(customId);
    const refusal = this.#refusalOf(model);
    if (refusal !== null) return modelNotFound(model, refusal);
    if (this.#rules.oneModel !== true) return null;
    this.#expected ??= { model, line: number };
    if (model === this.#expected.model) return null;
    return mismatchedModel(this.#expected.model, this.#expected.line, model);
  }

  #refusalOf(model: string): string | null {
    const { refusesModel } = this.#rules;
    if (refusesModel === undefined) return null;
    let refusal = this.#refusals.get(model);
    if (refusal === undefined) {
      refusal = refusesModel(model);
      this.#refusals.set(model, refusal);
    }
    return refusal;
  }

  #report(fault: Fault, line: number | null): void {
    if (this.#errors.length < MAX_ERRORS) this.#errors.push(toBatchError(fault, line));
    else this.#moreErrors++;
  }
}

function validLine(line: RightLine, number: number, offset: number, length: number): ValidLine {
  const { model, customId, customIdStart, customIdEnd, bodyStart, bodyEnd } = line;
  return { number, offset, length, model, customId, customIdStart, customIdEnd, bodyStart, bodyEnd };
}
