/**
 * The one JSON scanner: it checks that bytes are exactly one JSON value and finds where wanted members lie, without
 * building anything. It accepts what `JSON.parse` accepts of strictly decoded UTF-8, and nothing else.
 */
import { sameBytes } from '../bytes.ts';
import { encodeJsonText, hasEscape, stringAt } from './json-spans.ts';
import type { JsonText } from './json-spans.ts';
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  findInvalidUtf8,
  OPEN_ARRAY,
  OPEN_OBJECT,
  passScalar,
  passString,
  QUOTE,
} from './json-tokens.ts';

/** Answers of the scanner's steps where a position does not go on. */
const DONE = -1;
const FAULT = -2;

/** A scanner that is used again and again; a scan allocates nothing and forgets the one before. */
export interface JsonScanner {
  /**
   * True where [start, end) of `bytes` is one JSON value of any kind, with white space around it or not. Iterative:
   * depth costs a bit a level and no stack.
   */
  scan(bytes: Uint8Array, start: number, end: number): boolean;
  /** After a true: the offset in `bytes` of the value of the wanted member `slot` (a string with its quotes); −1: absent. */
  start(slot: number): number;
  /** After a true: where that value ends; −1: absent. */
  end(slot: number): number;
  /** After a true: the offset in `bytes` of the value itself, behind leading white space. */
  readonly valueAt: number;
  /** After a true: whether a CR or LF stands between, before or after the tokens. */
  readonly lineBreaks: boolean;
  /** After a false: the offset in `bytes` of the fault. */
  readonly errorAt: number;
  /** After a false: what is wrong there, e.g. `expected a value`. */
  readonly errorReason: string;
}

/**
 * Makes a scanner. `wanted` names the members to find; the place in the list is the slot. `body` is a member of the
 * value itself (where that is an object), `body.model` a member of its member `body`, which must be listed before.
 * Of duplicate names the last counts, as with JSON.parse. Throws TypeError for `body.model` without `body`.
 */
export function createJsonScanner(wanted: readonly string[]): JsonScanner {
  const members: Member[] = [];
  wanted.forEach((path, slot) => {
    const [outer = '', inner] = path.split('.');
    if (inner === undefined) {
      members.push({ slot, name: encodeJsonText(outer), inner: [] });
      return;
    }
    const parent = members.find((member) => member.name.text === outer);
    if (parent === undefined) throw new TypeError(`'${path}' is wanted, but not '${outer}' before it`);
    parent.inner.push({ slot, name: encodeJsonText(inner), inner: [] });
  });
  return new Scanner(members, wanted.length);
}

interface Member {
  readonly slot: number;
  readonly name: JsonText;
  readonly inner: Member[];
}

class Scanner implements JsonScanner {
  valueAt = -1;
  lineBreaks = false;
  errorAt = -1;
  errorReason = '';
  readonly #members: readonly Member[];
  readonly #starts: number[];
  readonly #ends: number[];
  /** The wanted members whose values are being passed, at depth 1 and 2. */
  #outer: Member | null = null;
  #inner: Member | null = null;
  /** How many containers are open, and whether the innermost is an object. */
  #depth = 0;
  #inObject = false;
  /** One bit for each container around the innermost: 1 for an object. */
  #around = new Int32Array(32);

  constructor(members: readonly Member[], slots: number) {
    this.#members = members;
    this.#starts = Array.from({ length: slots }, () => -1);
    this.#ends = Array.from({ length: slots }, () => -1);
  }

  start(slot: number): number {
    return this.#starts[slot] as number;
  }

  end(slot: number): number {
    return this.#ends[slot] as number;
  }

  scan(bytes: Uint8Array, start: number, end: number): boolean {
    this.#reset();
    const invalidAt = findInvalidUtf8(bytes, start, end);
    if (invalidAt !== -1) {
      this.#fail(invalidAt, end, 'invalid UTF-8');
      return false;
    }
    let at = this.#skipSpace(bytes, start, end);
    this.valueAt = at;
    while (at >= 0) at = this.#passValue(bytes, at, end);
    return at === DONE;
  }

  #reset(): void {
    this.lineBreaks = false;
    this.errorAt = -1;
    this.errorReason = '';
    this.#starts.fill(-1);
    this.#ends.fill(-1);
    this.#outer = null;
    this.#inner = null;
    this.#depth = 0;
    this.#inObject = false;
  }

  /** From the first byte of a value to that of the next one: its first member or item, or what follows it. */
  #passValue(bytes: Uint8Array, at: number, end: number): number {
    const first = at < end ? bytes[at] : undefined;
    if (first === QUOTE) {
      const after = passString(bytes, at, end);
      return after < 0 ? this.#failString(bytes, ~after, end) : this.#passEnd(bytes, after, end);
    }
    if (first === OPEN_OBJECT) return this.#passOpen(bytes, at, end, true);
    if (first === OPEN_ARRAY) return this.#passOpen(bytes, at, end, false);
    const after = passScalar(bytes, at, end);
    if (after >= 0) return this.#passEnd(bytes, after, end);
    return this.#fail(~after, end, ~after === at ? 'expected a value' : 'invalid number');
  }

  /** Enters a container, or passes an empty one. */
  #passOpen(bytes: Uint8Array, at: number, end: number, isObject: boolean): number {
    const first = this.#skipSpace(bytes, at + 1, end);
    if (first < end && bytes[first] === (isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) {
      return this.#passEnd(bytes, first + 1, end);
    }
    this.#push(isObject);
    return isObject ? this.#passName(bytes, first, end) : first;
  }

  /** From a member's name to the first byte of its value. */
  #passName(bytes: Uint8Array, at: number, end: number): number {
    if (at >= end || bytes[at] !== QUOTE) return this.#fail(at, end, 'expected a name in double quotes');
    const nameEnd = passString(bytes, at, end);
    if (nameEnd < 0) return this.#failString(bytes, ~nameEnd, end);
    const colon = this.#skipSpace(bytes, nameEnd, end);
    if (colon >= end || bytes[colon] !== COLON) return this.#fail(colon, end, "expected ':' after a name");
    const value = this.#skipSpace(bytes, colon + 1, end);
    if (this.#depth === 1) this.#enterOuter(bytes, at, nameEnd, value);
    else if (this.#depth === 2 && this.#outer !== null) this.#enterInner(bytes, at, nameEnd, value);
    return value;
  }

  #enterOuter(bytes: Uint8Array, nameStart: number, nameEnd: number, value: number): void {
    this.#outer = findMember(this.#members, bytes, nameStart, nameEnd);
    if (this.#outer === null) return;
    this.#starts[this.#outer.slot] = value;
    // What an earlier member of this name held is gone.
    for (const { slot } of this.#outer.inner) this.#starts[slot] = this.#ends[slot] = -1;
  }

  #enterInner(bytes: Uint8Array, nameStart: number, nameEnd: number, value: number): void {
    this.#inner = findMember((this.#outer as Member).inner, bytes, nameStart, nameEnd);
    if (this.#inner !== null) this.#starts[this.#inner.slot] = value;
  }

  /** From the end of a value, out of the containers that end there, to the first byte of the next value. */
  #passEnd(bytes: Uint8Array, valueEnd: number, end: number): number {
    let at = valueEnd;
    for (;;) {
      if (this.#depth <= 2) this.#leaveMember(at);
      at = this.#skipSpace(bytes, at, end);
      const byte = at < end ? bytes[at] : undefined;
      if (this.#depth === 0) {
        return byte === undefined ? DONE : this.#fail(at, end, 'expected nothing after the value');
      }
      if (byte === COMMA) {
        at = this.#skipSpace(bytes, at + 1, end);
        return this.#inObject ? this.#passName(bytes, at, end) : at;
      }
      if (byte !== (this.#inObject ? CLOSE_OBJECT : CLOSE_ARRAY)) {
        return this.#fail(at, end, this.#inObject ? "expected ',' or '}'" : "expected ',' or ']'");
      }
      this.#pop();
      at++;
    }
  }

  #leaveMember(valueEnd: number): void {
    if (this.#depth === 1 && this.#outer !== null) {
      this.#ends[this.#outer.slot] = valueEnd;
      this.#outer = null;
    } else if (this.#depth === 2 && this.#inner !== null) {
      this.#ends[this.#inner.slot] = valueEnd;
      this.#inner = null;
    }
  }

  #skipSpace(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    while (at < end) {
      const byte = bytes[at] as number;
      if (byte === 0x0a || byte === 0x0d) this.lineBreaks = true;
      else if (byte !== 0x20 && byte !== 0x09) break;
      at++;
    }
    return at;
  }

  #push(isObject: boolean): void {
    const word = this.#depth >> 5;
    if (word === this.#around.length) {
      const grown = new Int32Array(word * 2);
      grown.set(this.#around);
      this.#around = grown;
    }
    const bit = 1 << (this.#depth & 31);
    const bits = this.#around[word] as number;
    this.#around[word] = this.#inObject ? bits | bit : bits & ~bit;
    this.#inObject = isObject;
    this.#depth++;
  }

  #pop(): void {
    this.#depth--;
    this.#inObject = ((this.#around[this.#depth >> 5] as number) & (1 << (this.#depth & 31))) !== 0;
  }

  #failString(bytes: Uint8Array, at: number, end: number): number {
    const reason = bytes[at] === BACKSLASH ? 'invalid escape' : 'unescaped control character';
    return this.#fail(at, end, `${reason} in a string`);
  }

  #fail(at: number, end: number, reason: string): number {
    this.errorAt = at;
    this.errorReason = at < end ? reason : 'unexpected end';
    return FAULT;
  }
}

/** The member that the name in [start, end), quotes included, stands for. */
function findMember(
  members: readonly Member[],
  bytes: Uint8Array,
  start: number,
  end: number,
): Member | null {
  for (const member of members) if (sameBytes(bytes, start, end, member.name.encoded)) return member;
  if (!hasEscape(bytes, start, end)) return null;
  const text = stringAt(bytes, start, end);
  return members.find((member) => member.name.text === text) ?? null;
}
