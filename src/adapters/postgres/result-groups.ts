/**
 * Cuts what waits into groups, in order, each for one statement: of at most `maxBytes` (or one larger item) and `maxItems`.
 * `items` has at least one.
 */
export function* groupsOf<T>(
  items: readonly T[],
  limits: { readonly bytesOf: (item: T) => number; readonly maxBytes: number; readonly maxItems: number },
): Generator<readonly T[]> {
  const { bytesOf, maxBytes, maxItems } = limits;
  let group: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const more = bytesOf(item);
    if (group.length === maxItems || (group.length > 0 && bytes + more > maxBytes)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(item);
    bytes += more;
  }
  yield group;
}
