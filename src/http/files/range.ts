/** What a `Range` header asks of `size` bytes: [start, end), nothing that exists, or null for all of them. */
export type ByteRange = { readonly start: number; readonly end: number } | 'unsatisfiable' | null;

/**
 * Reads a `Range` header against `size` bytes. Several ranges, other units and malformed headers are ignored, as
 * RFC 9110 allows: the answer is then the whole.
 */
export function parseRange(header: string | undefined, size: number): ByteRange {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header ?? '');
  if (match === null) return null;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return null;
  if (first === '') {
    const start = Math.max(0, size - Number(last));
    return start < size ? { start, end: size } : 'unsatisfiable';
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return null;
  if (start >= size) return 'unsatisfiable';
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) };
}
