type State = 'open' | 'sealed' | 'published' | 'failed' | 'discarded';

/** The steps of one BlobWriter: one after another in the order of the calls, so that `discard` is safe while another step runs. */
export class BlobSteps {
  #state: State = 'open';
  #last: Promise<unknown> = Promise.resolve();

  /** Leads from one state to the next; rejects where the blob is in another. Where `work` fails, only `discard` is possible. */
  step<T>(from: State, to: State, work: () => Promise<T>): Promise<T> {
    return this.#enqueue(async () => {
      if (this.#state !== from) throw new Error(`The blob is ${this.#state}; for this it must be ${from}.`);
      this.#state = 'failed';
      const result = await work();
      this.#state = to;
      return result;
    });
  }

  /** No step but this one is possible any more. */
  discard(work: () => Promise<void>): Promise<void> {
    return this.#enqueue(async () => {
      this.#state = 'discarded';
      await work();
    });
  }

  #enqueue<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step, step);
    this.#last = done;
    return done;
  }
}
