/** Owners (projects): what an administrator may set for each. Pure. */

/** How much an owner may use; null: as the settings say. */
export interface OwnerLimits {
  /** Requests to the API. */
  readonly requestsPerMinute: number | null;
  /** Of its files and the parts of its uploads. */
  readonly maxStoredBytes: number | null;
  /** Lines of its live batches that have no result yet. */
  readonly maxQueuedLines: number | null;
  /** Batches that have not ended. */
  readonly maxLiveBatches: number | null;
}

/** An owner as it is kept. One that is not kept has weight 1 and no limits of its own. */
export interface Owner extends OwnerLimits {
  /** Its name, which keys carry. */
  readonly name: string;
  /** Its share of the worker, next to those of other owners: 1…1,000. */
  readonly weight: number;
}
