/** Small parts need no more memory than this; it is doubled as they grow, bytes. */
const FIRST_BYTES = 64 * 1024;

/** Gathers the bytes of one part. */
export class PartBuffer {
  readonly #max: number;
  #bytes: Buffer;
  #filled = 0;

  /** `max`: bytes. Where it `willFill`, its memory is taken at once. */
  constructor(max: number, { willFill }: { readonly willFill: boolean }) {
    this.#max = max;
    this.#bytes = Buffer.allocUnsafeSlow(willFill ? max : Math.min(max, FIRST_BYTES));
  }

  get length(): number {
    return this.#filled;
  }

  get isFull(): boolean {
    return this.#filled === this.#max;
  }

  /** Copies as many of `bytes` as there is room for; answers how many. */
  add(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, this.#max - this.#filled);
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
    while (size < bytes) size *= 2;
    const larger = Buffer.allocUnsafeSlow(Math.min(size, this.#max));
    larger.set(this.bytes());
    this.#bytes = larger;
  }
}
