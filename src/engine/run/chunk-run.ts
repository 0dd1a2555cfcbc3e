import { requestId } from '../batches/batch.ts';
import { decodeLineIndex, undonePlaces } from './chunk.ts';
import type { LineIndex } from './chunk.ts';
import { readInputLines } from './chunk-input.ts';
import type { EngineContext } from '../context.ts';
import type { LineParts } from '../input/line.ts';
import type { ChunkClaim, ChunkRef, RunningBatch, UpstreamRequest } from '../ports.ts';

/** A line that was being tried when so many processes died in a row is given up. */
const DEATHS_OF_POISON = 3;
/** What a line takes in memory besides its bytes, once it was taken: objects, views and keys; measured, rounded. */
const LINE_OVERHEAD_BYTES = 700;
/** So long after it was claimed are all lines of a chunk suspects whose last process died, milliseconds. */
const TRIAL_MS = 1000;

/**
 * Which lines may run beside this one. After a crash any line that was in flight may have caused it. `free`: all.
 * `suspect`: only one of its chunk at a time. `prime`, being tried when the process died: no suspect at all. `accused`,
 * being tried so: no line at all.
 */
export type Suspicion = 'free' | 'suspect' | 'prime' | 'accused';

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
  /** Whether its attempts must be made alone, until it has its result. */
  suspicion: Suspicion;
  /** Aborts the attempt in flight; null while none is. */
  abort: (() => void) | null;
}

/** A claimed chunk being worked on: its lines in memory, and how far it is. */
export class ChunkRun {
  readonly batch: RunningBatch;
  readonly model: string;
  /** True where nobody had claimed some chunks of the batch when this one was claimed. */
  readonly hasMore: boolean;
  readonly ref: ChunkRef;
  /** Bytes held in memory: of its lines, and what these take besides. Gaps between lines may add as much again. */
  readonly bytes: number;
  /** The line that killed the process too often; it is not taken any more. Null: none. */
  readonly poison: Line | null;
  /** True once nothing more of it may be sent: its batch stopped, its lease was lost, or the worker stops. */
  stopped = false;
  /** Lines without a committed result. */
  uncommitted: number;
  readonly #index: LineIndex;
  readonly #places: readonly number[];
  readonly #inputs: readonly Buffer[];
  /** Of the first line. */
  readonly #first: 'prime' | 'accused' | null;
  /** So many of the first lines are suspects. */
  readonly #suspects: number;
  readonly #isOnTrial: () => boolean;
  #next = 0;

  private constructor(
    claim: ChunkClaim,
    index: LineIndex,
    places: readonly number[],
    inputs: readonly Buffer[],
    suspects: number,
    isOnTrial: () => boolean,
  ) {
    const { batch, chunk, hasMore } = claim;
    this.batch = batch;
    this.hasMore = hasMore;
    this.model = chunk.model;
    this.ref = { batchId: batch.id, chunkNumber: chunk.number, epoch: chunk.epoch };
    this.bytes = inputs.reduce((sum, input) => sum + input.length + LINE_OVERHEAD_BYTES, 0);
    this.uncommitted = places.length;
    this.#index = index;
    const tried = chunk.trying === null ? -1 : places.indexOf(chunk.trying.place);
    const deaths = tried === -1 ? 0 : (chunk.trying?.deaths ?? 0);
    const isPoison = deaths >= DEATHS_OF_POISON;
    this.#first = deaths === 0 || isPoison ? null : deaths === 1 ? 'prime' : 'accused';
    this.#suspects = chunk.crashes * suspects;
    this.#isOnTrial = isOnTrial;
    this.poison = isPoison ? this.#line(places[tried] as number, inputs[tried] as Buffer, 'free') : null;
    const others = places.map((_, at) => at).filter((at) => at !== tried);
    const order = this.#first !== null ? [tried, ...others] : others;
    this.#places = order.map((at) => places[at] as number);
    this.#inputs = order.map((at) => inputs[at] as Buffer);
  }

  /**
   * Reads the chunk's undone lines into memory. Where a process died while it held the chunk, its first `suspects`
   * undone lines are tried alone: as many as can have been in flight, for lines are taken in order. Lines that waited
   * for a retry may stand before those, so each further crash without progress adds as many. Of quick lines many more can
   * have been answered and not yet stored: so all that can be tried alone in a moment are.
   */
  static async open(ctx: EngineContext, claim: ChunkClaim, suspects: number): Promise<ChunkRun> {
    const index = decodeLineIndex(claim.chunk.index);
    const places = undonePlaces(index, claim.chunk.done);
    const inputs = await readInputLines(ctx.blobs, claim.batch.input.key, index, places);
    const trialEnd = ctx.clock.monotonic() + TRIAL_MS;
    const isOnTrial = (): boolean => claim.chunk.crashes > 0 && ctx.clock.monotonic() < trialEnd;
    return new ChunkRun(claim, index, places, inputs, suspects, isOnTrial);
  }

  /** Lines that were not taken yet. */
  get untaken(): number {
    return this.stopped ? 0 : this.#places.length - this.#next;
  }

  /** How the next line must be run, as far as this chunk knows. */
  get nextSuspicion(): Suspicion {
    if (this.#next === 0 && this.#first !== null) return this.#first;
    return this.#next < this.#suspects || this.#isOnTrial() ? 'suspect' : 'free';
  }

  /** The next line, or null. */
  take(): Line | null {
    if (this.untaken === 0) return null;
    const suspicion = this.nextSuspicion;
    const at = this.#next++;
    return this.#line(this.#places[at] as number, this.#inputs[at] as Buffer, suspicion);
  }

  #line(place: number, input: Buffer, suspicion: Suspicion): Line {
    const id = requestId(this.batch.id, this.#index.numbers[place] as number);
    const { customIdStart, customIdEnd, bodyStart, bodyEnd } = this.#index.parts[place] as LineParts;
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
      suspicion,
      abort: null,
    };
  }
}
