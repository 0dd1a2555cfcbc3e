/** A page of a list. `hasMore`: there are items after the last one. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly hasMore: boolean;
}
