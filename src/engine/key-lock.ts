/** One critical section a key, within this process. */
export class KeyLock {
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
