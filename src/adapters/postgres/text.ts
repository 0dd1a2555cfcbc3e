/**
 * PostgreSQL's text cannot hold the character U+0000, which clients can send in names. It is kept as an escape that begins with a
 * character of private use; that one is escaped as well, so that every text comes back as it was.
 */
const ESCAPE = '\uE000';
const NUL = '\0';

/** The text as PostgreSQL can keep it. Halves of surrogate pairs become U+FFFD on the way, as in UTF-8 they must. */
export function toPostgresText(text: string): string {
  if (!text.includes(NUL) && !text.includes(ESCAPE)) return text;
  return text.replaceAll(ESCAPE, `${ESCAPE}1`).replaceAll(NUL, `${ESCAPE}0`);
}

/** The text as it was given. */
export function fromPostgresText(text: string): string {
  if (!text.includes(ESCAPE)) return text;
  return text.replaceAll(`${ESCAPE}0`, NUL).replaceAll(`${ESCAPE}1`, ESCAPE);
}
