/** Something open. */
interface Closable {
  close(): Promise<void>;
}

interface Entry<T> {
  readonly key: string;
  readonly opened: Promise<T>;
  readonly closed: PromiseWithResolvers<void>;
  users: number;
  /** Nobody new may use it; the last user closes it. */
  retired: boolean;
}

/** Keeps up to `max` things open, one for each key, and closes those that were not used for the longest. */
export class HandleCache<T extends Closable> {
  readonly #max: number;
  readonly #open: (key: string) => Promise<T>;
  /** In order of their last use. */
  readonly #entries = new Map<string, Entry<T>>();
  /** All that are not closed yet, the retired ones too. */
  readonly #alive = new Set<Entry<T>>();
  #closed = false;

  constructor({ max, open }: { readonly max: number; readonly open: (key: string) => Promise<T> }) {
    this.#max = max;
    this.#open = open;
  }

  /**
   * Runs `work` with the open thing of `key`, which stays open meanwhile. One whose `work` rejected is not used
   * again: the next call opens a new one.
   */
  async use<R>(key: string, work: (opened: T) => Promise<R>): Promise<R> {
    if (this.#closed) throw new Error('Used after it was closed.');
    const entry = this.#enter(key);
    try {
      return await work(await entry.opened);
    } catch (error) {
      this.#retire(entry);
      throw error;
    } finally {
      entry.users--;
      if (entry.retired) this.#closeUnused(entry);
      this.#evict();
    }
  }

  /** Resolves when what is open for `key` now, if anything, is closed. Waits for its users. */
  async retire(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#retire(entry);
    await entry.closed.promise;
  }

  /** Closes everything as soon as it is unused; no use after this. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#entries.values()) this.#retire(entry);
    await Promise.all([...this.#alive].map((entry) => entry.closed.promise));
  }

  #enter(key: string): Entry<T> {
    const entry = this.#entries.get(key) ?? this.#begin(key);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    return entry;
  }

  #begin(key: string): Entry<T> {
    const entry = {
      key,
      opened: this.#open(key),
      closed: Promise.withResolvers<void>(),
      users: 0,
      retired: false,
    };
    this.#alive.add(entry);
    return entry;
  }

  #evict(): void {
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= this.#max) return;
      if (entry.users === 0) this.#retire(entry);
    }
  }

  #retire(entry: Entry<T>): void {
    if (this.#entries.get(entry.key) === entry) this.#entries.delete(entry.key);
    entry.retired = true;
    this.#closeUnused(entry);
  }

  #closeUnused(entry: Entry<T>): void {
    if (entry.users > 0) return;
    const finish = (): void => {
      this.#alive.delete(entry);
      entry.closed.resolve();
    };
    // Whether closing or even opening failed changes nothing here: what was written was synced before, or its
    // writer was told that it was not.
    entry.opened.then((opened) => opened.close()).then(finish, finish);
  }
}
