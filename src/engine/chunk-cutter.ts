import { CHUNK_MAX_BYTES, CHUNK_MAX_LINES, encodeLineIndex } from './chunk.ts';
import type { NewChunk } from './chunk.ts';

interface OpenChunk {
  readonly numbers: number[];
  readonly offsets: number[];
  readonly lengths: number[];
  bytes: number;
}

/** Cuts lines, given in file order, into chunks of one model each. */
export class ChunkCutter {
  readonly #open = new Map<string, OpenChunk>();
  readonly #closed: Omit<NewChunk, 'number'>[] = [];

  /** `number` is 1-based, `offset` and `length` in bytes. */
  add(model: string, number: number, offset: number, length: number): void {
    let chunk = this.#open.get(model);
    if (chunk !== undefined && chunk.bytes + length > CHUNK_MAX_BYTES) {
      this.#close(model, chunk);
      chunk = undefined;
    }
    if (chunk === undefined) {
      chunk = { numbers: [], offsets: [], lengths: [], bytes: 0 };
      this.#open.set(model, chunk);
    }
    chunk.numbers.push(number);
    chunk.offsets.push(offset);
    chunk.lengths.push(length);
    chunk.bytes += length;
    if (chunk.numbers.length === CHUNK_MAX_LINES) this.#close(model, chunk);
  }

  /** All chunks, numbered in the order of their first lines. */
  finish(): NewChunk[] {
    for (const [model, chunk] of this.#open) this.#close(model, chunk);
    return this.#closed
      .toSorted((a, b) => a.firstLine - b.firstLine)
      .map((chunk, number) => ({ number, ...chunk }));
  }

  #close(model: string, chunk: OpenChunk): void {
    this.#open.delete(model);
    this.#closed.push({
      model,
      lineCount: chunk.numbers.length,
      firstLine: chunk.numbers[0] as number,
      bytes: chunk.bytes,
      index: encodeLineIndex(chunk),
    });
  }
}
