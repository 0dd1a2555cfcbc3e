/** What a move works with. */
import type { MoveTarget } from '../adapters/postgres/index.ts';
import type { MoveSource } from '../adapters/sqlite/index.ts';
import type { BlobStore, ResultLog } from '../engine/ports.ts';

/** Files and results. */
export interface Storage {
  readonly blobs: BlobStore;
  readonly results: ResultLog;
}

export interface Move {
  /** By which the target knows it; it has begun there. */
  readonly id: string;
  readonly source: MoveSource;
  readonly target: MoveTarget;
  /** The folder's. */
  readonly from: Storage;
  /** Null: files and results stay in the folder. */
  readonly to: Storage | null;
  /** Takes a line for the operator. */
  readonly say: (line: string) => void;
  /** Stops the move between two writes; it rejects then. */
  readonly signal: AbortSignal;
}
