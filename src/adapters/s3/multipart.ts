import type { Bucket, StoredPart } from './bucket.ts';
import type { PartGate } from './part-gate.ts';
import type { PartClaim } from './part-memory.ts';

/** Parts of one object that are sent at the same time. */
const PARTS_IN_FLIGHT = 3;

/**
 * One object in parts, which nobody can see before it is completed. Each part is held until it is sent. The calls are made one
 * after another.
 */
export class MultipartUpload {
  readonly #bucket: Bucket;
  readonly #gate: PartGate;
  readonly #name: string;
  #uploadId: string | null = null;
  #parts: StoredPart[] = [];
  #begun = 0;
  readonly #inFlight = new Set<Promise<void>>();
  #isAborted = false;
  /** Of the first part that failed. */
  #failure: { readonly error: unknown } | null = null;

  constructor(bucket: Bucket, gate: PartGate, name: string) {
    this.#bucket = bucket;
    this.#gate = gate;
    this.#name = name;
  }

  /** Begins to send the next part as soon as it may. Its bytes must not change any more; then `claim`, if any, is released. */
  async add(part: Uint8Array, claim: PartClaim | null): Promise<void> {
    try {
      this.#uploadId ??= await this.#bucket.beginUpload(this.#name);
      while (this.#inFlight.size >= PARTS_IN_FLIGHT) await this.onePart();
      this.#throwFailure();
    } catch (error) {
      claim?.release();
      throw error;
    }
    const sending = this.#send(this.#uploadId, ++this.#begun, part).finally(() => {
      this.#inFlight.delete(sending);
      claim?.release();
    });
    this.#inFlight.add(sending);
  }

  /** True where parts are in flight. */
  get isSending(): boolean {
    return this.#inFlight.size > 0;
  }

  /** Resolves when one of those in flight is no more. */
  async onePart(): Promise<void> {
    await Promise.race(this.#inFlight);
  }

  /** Resolves when the store has all parts. */
  async settle(): Promise<void> {
    await Promise.all(this.#inFlight);
    this.#throwFailure();
  }

  /** Makes the settled parts an object of `bytes` bytes. */
  async complete(bytes: number): Promise<void> {
    const parts = this.#parts.toSorted((one, other) => one.PartNumber - other.PartNumber);
    try {
      await this.#bucket.completeUpload(this.#name, this.#uploadId as string, parts);
    } catch (error) {
      // The answer to one that succeeded may have been lost, and repeating it refused. Nobody else makes an object of this name.
      const stored = await this.#bucket.size(this.#name).catch(() => null);
      if (stored !== bytes) throw error;
    }
  }

  /** Removes all parts. Safe at any time, and twice. */
  async abort(): Promise<void> {
    this.#isAborted = true;
    // Parts that arrive after it would stay.
    await Promise.all(this.#inFlight);
    if (this.#uploadId !== null) await this.#bucket.abortUpload(this.#name, this.#uploadId);
  }

  /** Never rejects. */
  async #send(uploadId: string, number: number, part: Uint8Array): Promise<void> {
    try {
      await this.#gate.run(async () => {
        if (this.#isAborted || this.#failure !== null) return;
        this.#parts.push(await this.#bucket.putPart(this.#name, uploadId, number, part));
      });
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
