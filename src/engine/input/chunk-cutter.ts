import { CHUNK_MAX_BYTES, CHUNK_MAX_LINES, encodeLineIndex } from '../run/chunk.ts';
import type { NewChunk } from '../run/chunk.ts';
import type { LineParts } from './line.ts';
import type { ValidLine } from './validate.ts';

interface OpenChunk {
  readonly numbers: number[];
  readonly offsets: number[];
  readonly lengths: number[];
  readonly parts: LineParts[];
  bytes: number;
}

/** Cuts lines, given in file order, into chunks of one model each. */
export class ChunkCutter {
  readonly #open = new Map<string, OpenChunk>();
  readonly #closed: Omit<NewChunk, 'number'>[] = [];

  add(line: Omit<ValidLine, 'customId'>): void {
    const { model, number, offset, length } = line;
    let chunk = this.#open.get(model);
    if (chunk !== undefined && chunk.bytes + length > CHUNK_MAX_BYTES) {
      this.#close(model, chunk);
      chunk = undefined;
    }
    if (chunk === undefined) {
      chunk = { numbers: [], offsets: [], lengths: [], parts: [], bytes: 0 };
      this.#open.set(model, chunk);
    }
    chunk.numbers.push(number);
    chunk.offsets.push(offset);
    chunk.lengths.push(length);
    chunk.parts.push(line);
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
