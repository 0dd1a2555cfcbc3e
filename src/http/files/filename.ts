/** File names as clients give them and as downloads carry them. */

/** In characters (code points). */
const MAX_FILENAME_LENGTH = 255;
const DEFAULT_FILENAME = 'upload';

/**
 * The name to keep of what a client calls its file: without folders, without control characters and line breaks,
 * at most 255 characters, well-formed Unicode; `upload` where nothing remains.
 */
export function cleanFilename(name: string | undefined): string {
  const base = (name ?? '').split(/[/\\]/).at(-1) ?? '';
  const printable = base
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029]/gu, '')
    .trim();
  if (printable === '' || printable === '.' || printable === '..') return DEFAULT_FILENAME;
  return Array.from(printable).slice(0, MAX_FILENAME_LENGTH).join('');
}

/**
 * A `Content-Disposition` that saves the download as `filename` (RFC 6266): a quoted ASCII form for every client
 * and, where that is not the whole truth, the UTF-8 form beside it.
 */
export function contentDisposition(filename: string): string {
  const ascii = filename.replace(/[^\x20-\x7e]/gu, '_');
  const quoted = `attachment; filename="${ascii.replace(/["\\]/g, '\\$&')}"`;
  return ascii === filename ? quoted : `${quoted}; filename*=UTF-8''${percentEncode(filename)}`;
}

/** `encodeURIComponent` leaves a few characters as they are that RFC 8187 wants encoded. */
function percentEncode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
