/**
 * One critical section a blob. Where equal blobs share a key: while one caller publishes a blob and has not yet inserted
 * the row that names it, another may find that no row names it and remove it. Both do so only inside `run`. (One process
 * owns such a store, so a lock in memory is enough; `BlobStore` says how others do without.)
 */
export class BlobLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `section` when every earlier section for `key` has ended, and answers what it answers. */
  async run<T>(key: string, section: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const mine = before.then(section, section);
    this.#tails.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(key) === mine) this.#tails.delete(key);
    }
  }
}
