/** What a writer may hold of one part. */
export interface PartClaim {
  /** From now on its bytes are on their way to the store, so that it is soon given back. */
  send(): void;
  /** Its memory is free again. Safe twice. */
  release(): void;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

interface Filling {
  readonly since: number;
  readonly giveUp: () => void;
}

export interface PartMemoryOptions {
  /** What all claims together may have. */
  readonly bytes: number;
  /** Who has waited for so long may have a part that was not filled in that time; milliseconds. */
  readonly patienceMs: number;
}

/**
 * The memory for parts of all writers of a store. A claim is for a whole part, so whoever has one can fill and send it without waiting
 * for more: then some writer goes on at all times, and those that wait, in their order, have nothing that others wait for. A client
 * may send so slowly that its part is never full: it loses its claim when others have waited for long.
 */
export class PartMemory {
  readonly #bytes: number;
  readonly #patienceMs: number;
  #free: number;
  readonly #waiting: Waiting[] = [];
  /** Claims whose part still grows, the oldest one first. */
  readonly #filling = new Set<Filling>();

  constructor({ bytes, patienceMs }: PartMemoryOptions) {
    this.#bytes = bytes;
    this.#patienceMs = patienceMs;
    this.#free = bytes;
  }

  /** A part that is larger than all of the memory has room where nobody has any. */
  hasRoom(bytes: number): boolean {
    return bytes <= this.#free || this.#free === this.#bytes;
  }

  /** Waits for room. `onLost`: the claim was given to others, and what it was for must be dropped now. */
  async take(bytes: number, onLost: () => void): Promise<PartClaim> {
    if (this.#waiting.length > 0 || !this.hasRoom(bytes)) await this.#wait(bytes);
    else this.#free -= bytes;
    const filling: Filling = {
      since: performance.now(),
      giveUp() {
        claim.release();
        onLost();
      },
    };
    const claim = this.#claim(bytes, () => this.#filling.delete(filling));
    this.#filling.add(filling);
    return claim;
  }

  /** Takes it whether there is room or not; such a claim is not lost. */
  takeAnyway(bytes: number): PartClaim {
    this.#free -= bytes;
    return this.#claim(bytes, () => {});
  }

  async #wait(bytes: number): Promise<void> {
    const granted = Promise.withResolvers<void>();
    this.#waiting.push({ bytes, grant: granted.resolve });
    const timer = setInterval(() => this.#giveUpOldest(), this.#patienceMs);
    await granted.promise;
    clearInterval(timer);
  }

  #claim(bytes: number, send: () => void): PartClaim {
    let left = bytes;
    return {
      send,
      release: () => {
        send();
        this.#free += left;
        left = 0;
        this.#grant();
      },
    };
  }

  #grant(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined || !this.hasRoom(next.bytes)) return;
      this.#waiting.shift();
      this.#free -= next.bytes;
      next.grant();
    }
  }

  #giveUpOldest(): void {
    const [oldest] = this.#filling;
    if (oldest !== undefined && performance.now() - oldest.since >= this.#patienceMs) oldest.giveUp();
  }
}
