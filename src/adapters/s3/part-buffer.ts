/** A part needs no more memory than this before it has more bytes. */
export const SMALL_BYTES = 64 * 1024;
/** By which a buffer grows: few copies, and not all of a part for a file of some hundred KB. */
const GROWTH = 16;

/** Gathers the bytes of one part. */
export class PartBuffer {
  /** Of a full part, bytes. */
  readonly max: number;
  #bytes: Buffer;
  #filled = 0;

  constructor(max: number) {
    this.max = max;
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(max, SMALL_BYTES));
  }

  get length(): number {
    return this.#filled;
  }

  get isFull(): boolean {
    return this.#filled === this.max;
  }

  /** Copies as many of `bytes` as there is room for; answers how many. */
  add(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, this.max - this.#filled);
    this.#reserve(this.#filled + taken.length);
    this.#bytes.set(taken, this.#filled);
    this.#filled += taken.length;
    return taken.length;
  }

  /** What was gathered, not copied. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#filled);
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    let size = this.#bytes.length;
    while (size < bytes) size *= GROWTH;
    const larger = Buffer.allocUnsafeSlow(Math.min(size, this.max));
    larger.set(this.bytes());
    this.#bytes = larger;
  }
}
