import { requestId } from './batch.ts';
import { decodeLineIndex, undonePlaces } from './chunk.ts';
import { readInputLines } from './chunk-input.ts';
import type { EngineContext } from './context.ts';
import { locateLine } from './line.ts';
import type { ChunkClaim, ChunkRef, RunningBatch, UpstreamRequest } from './ports.ts';

/** After this many crashes a chunk's lines are tried one by one, to find the one that kills the process. */
const CRASHES_UNTIL_SOLO = 2;

/** One line of a claimed chunk that has no result yet. */
export interface Line {
  readonly run: ChunkRun;
  /** Its place within the chunk. */
  readonly place: number;
  /** `batch_req_…`, also the Idempotency-Key. */
  readonly id: string;
  /** The `custom_id` as a JSON string, quotes included, byte for byte as in the input. */
  readonly customId: Uint8Array;
  readonly request: UpstreamRequest;
  /** Attempts made after the first one. */
  retries: number;
  /** True until its first attempt ended, where its chunk crashed before: it is then tried alone. */
  suspect: boolean;
  /** Aborts the attempt in flight; null while none is. */
  abort: (() => void) | null;
}

/** A claimed chunk being worked on: its lines in memory, and how far it is. */
export class ChunkRun {
  readonly batch: RunningBatch;
  readonly model: string;
  readonly ref: ChunkRef;
  /** Bytes of input held in memory. */
  readonly bytes: number;
  /** True: one line at a time, each noted durably before it is sent. */
  readonly solo: boolean;
  /** The line that was being tried alone when the process died; it is not taken any more. Null: none. */
  readonly poison: Line | null;
  /** True once nothing more of it may be sent: its batch stopped, its lease was lost, or the worker stops. */
  stopped = false;
  /** Lines without a committed result. */
  uncommitted: number;
  readonly #numbers: readonly number[];
  readonly #places: readonly number[];
  readonly #inputs: Buffer[];
  #next = 0;

  private constructor(
    claim: ChunkClaim,
    numbers: readonly number[],
    places: readonly number[],
    inputs: Buffer[],
  ) {
    const { batch, chunk } = claim;
    this.batch = batch;
    this.model = chunk.model;
    this.ref = { batchId: batch.id, chunkNumber: chunk.number, epoch: chunk.epoch };
    this.bytes = inputs.reduce((sum, input) => sum + input.length, 0);
    this.solo = chunk.crashes >= CRASHES_UNTIL_SOLO;
    this.uncommitted = places.length;
    this.#numbers = numbers;
    const poisoned = chunk.trying === null ? -1 : places.indexOf(chunk.trying);
    this.poison = poisoned === -1 ? null : this.#line(places[poisoned] as number, inputs[poisoned] as Buffer);
    this.#places = places.filter((_, at) => at !== poisoned);
    this.#inputs = inputs.filter((_, at) => at !== poisoned);
  }

  /** Reads the chunk's undone lines into memory. */
  static async open(ctx: EngineContext, claim: ChunkClaim): Promise<ChunkRun> {
    const index = decodeLineIndex(claim.chunk.index);
    const places = undonePlaces(index, claim.chunk.done);
    const inputs = await readInputLines(ctx.blobs, claim.batch.input.sha256, index, places);
    return new ChunkRun(claim, index.numbers, places, inputs);
  }

  /** Lines that were not taken yet. */
  get untaken(): number {
    return this.stopped ? 0 : this.#places.length - this.#next;
  }

  /** The next line, or null. */
  take(): Line | null {
    if (this.untaken === 0) return null;
    const at = this.#next++;
    return this.#line(this.#places[at] as number, this.#inputs[at] as Buffer);
  }

  #line(place: number, input: Buffer): Line {
    const id = requestId(this.batch.id, this.#numbers[place] as number);
    const { customIdStart, customIdEnd, bodyStart, bodyEnd } = locateLine(input, 0, input.length);
    return {
      run: this,
      place,
      id,
      customId: input.subarray(customIdStart, customIdEnd),
      request: {
        model: this.model,
        url: this.batch.endpoint,
        body: input.subarray(bodyStart, bodyEnd),
        idempotencyKey: id,
      },
      retries: 0,
      suspect: this.solo,
      abort: null,
    };
  }
}
