/**
 * One critical section a blob. Content-addressed blobs are shared: while one caller publishes a blob and has not
 * yet inserted the row that names it, another may find that no row names it and remove it. Both do so only
 * inside `run`. (One process owns the data folder, so a lock in memory is enough.)
 */
export class BlobLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `section` when every earlier section for `sha256` has ended, and answers what it answers. */
  async run<T>(sha256: string, section: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(sha256) ?? Promise.resolve();
    const mine = before.then(section, section);
    this.#tails.set(sha256, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(sha256) === mine) this.#tails.delete(sha256);
    }
  }
}
