import type { ResultLine } from './result.ts';

/** Size of the first block, for those that gather only a few lines … */
const FIRST_BLOCK_BYTES = 16 * 1024;
/** … and of all others. A larger line has a block of its own. */
const BLOCK_BYTES = 256 * 1024;
const NO_BLOCK = Buffer.alloc(0);

/** Lines one behind another in a few large buffers: a buffer for each would cost more than to fill it. */
export class LineBlocks {
  #bytes = 0;
  readonly #full: Buffer[] = [];
  #block = NO_BLOCK;
  #filled = 0;

  /** What was added. */
  get bytes(): number {
    return this.#bytes;
  }

  add(line: ResultLine): void {
    const at = this.#reserve(line.size);
    line.writeTo(this.#block, at);
  }

  /** Adds a copy of a line that is there already. */
  addBytes(line: Uint8Array): void {
    const at = this.#reserve(line.length);
    this.#block.set(line, at);
  }

  /** All that was added, in order. */
  get parts(): readonly Buffer[] {
    return this.#filled === 0 ? this.#full : [...this.#full, this.#block.subarray(0, this.#filled)];
  }

  /** Makes room in the last block; answers where. */
  #reserve(size: number): number {
    if (this.#filled + size > this.#block.length) {
      if (this.#filled > 0) this.#full.push(this.#block.subarray(0, this.#filled));
      this.#filled = 0;
      const usual = this.#bytes === 0 ? FIRST_BLOCK_BYTES : BLOCK_BYTES;
      this.#block = Buffer.allocUnsafeSlow(Math.max(usual, size));
    }
    const at = this.#filled;
    this.#filled += size;
    this.#bytes += size;
    return at;
  }
}
