/** A set of short texts in a quarter of the memory of a Set of strings: the custom_ids of a million lines are held at once. */

/** Texts lie in pages of this many bytes, so that nothing is copied as the set grows. */
const PAGE_BYTES = 256 * 1024;
/** Before each text: its length in UTF-16 units, times two, plus one where it is stored in two bytes a unit. */
const HEAD_BYTES = 2;
/** So many texts fit that a position fits into 32 bits. */
const MAX_PAGES = 2 ** 32 / PAGE_BYTES;
/** Tables that grow one by one: one large table would hold the event loop for tens of milliseconds as it grows. */
const TABLES = 256;
const FIRST_CAPACITY = 8;

/** Texts of at most 32,767 UTF-16 units; exact, whatever they hold. */
export class TextSet {
  readonly #pages: Buffer[] = [];
  /** Where the next text goes in the last page. */
  #end = PAGE_BYTES;
  /** Open addressing: positions of texts, plus one; 0 is free. A power of two long. */
  readonly #tables = Array.from({ length: TABLES }, () => new Uint32Array(FIRST_CAPACITY));
  readonly #counts = new Uint32Array(TABLES);

  /** False where the text is there already. Throws RangeError where the texts take more than 4 GiB. */
  add(text: string): boolean {
    const { page, at } = this.#write(text);
    const bytes = textLength(page, at);
    const hash = hashOf(page, at, bytes);
    const number = hash >>> 24;
    const table = this.#tables[number] as Uint32Array;
    const slot = this.#findSlot(table, hash, page, at, bytes);
    if (table[slot] !== 0) return false;
    table[slot] = (this.#pages.length - 1) * PAGE_BYTES + at + 1;
    this.#end = at + bytes;
    if (++(this.#counts[number] as number) > table.length * 0.75) this.#grow(number);
    return true;
  }

  /** Whether the text is there. Throws as `add`. */
  has(text: string): boolean {
    const { page, at } = this.#write(text);
    const bytes = textLength(page, at);
    const hash = hashOf(page, at, bytes);
    const table = this.#tables[hash >>> 24] as Uint32Array;
    return table[this.#findSlot(table, hash, page, at, bytes)] !== 0;
  }

  /** The slot of the text in `bytes` bytes of `page` from `at` on, or the free one where it would go. */
  #findSlot(table: Uint32Array, hash: number, page: Buffer, at: number, bytes: number): number {
    const mask = table.length - 1;
    let slot = hash & mask;
    for (let position = table[slot]; position !== 0; position = table[slot]) {
      if (this.#isAt((position as number) - 1, page, at, bytes)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** Writes the text behind the last one, where the next one will overwrite it unless it is kept. */
  #write(text: string): { readonly page: Buffer; readonly at: number } {
    if (this.#end + HEAD_BYTES + 2 * text.length > PAGE_BYTES) this.#openPage();
    const page = this.#pages[this.#pages.length - 1] as Buffer;
    const at = this.#end;
    let units = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      page[at + HEAD_BYTES + i] = unit;
      units |= unit;
    }
    const isWide = units > 0xff;
    if (isWide) page.write(text, at + HEAD_BYTES, 'utf16le');
    page.writeUInt16LE(text.length * 2 + (isWide ? 1 : 0), at);
    return { page, at };
  }

  #openPage(): void {
    if (this.#pages.length === MAX_PAGES) throw new RangeError('the texts take more than 4 GiB');
    this.#pages.push(Buffer.allocUnsafeSlow(PAGE_BYTES));
    this.#end = 0;
  }

  /** Whether the text at `position`, head included, is the one in `bytes` bytes of `page` from `at` on. */
  #isAt(position: number, page: Buffer, at: number, bytes: number): boolean {
    const other = this.#pages[Math.floor(position / PAGE_BYTES)] as Buffer;
    const start = position % PAGE_BYTES;
    for (let i = 0; i < bytes; i++) if (other[start + i] !== page[at + i]) return false;
    return true;
  }

  #grow(number: number): void {
    const old = this.#tables[number] as Uint32Array;
    const table = new Uint32Array(old.length * 2);
    const mask = table.length - 1;
    for (const position of old) {
      if (position === 0) continue;
      const page = this.#pages[Math.floor((position - 1) / PAGE_BYTES)] as Buffer;
      const at = (position - 1) % PAGE_BYTES;
      let slot = hashOf(page, at, textLength(page, at)) & mask;
      while (table[slot] !== 0) slot = (slot + 1) & mask;
      table[slot] = position;
    }
    this.#tables[number] = table;
  }
}

/** Bytes of the text at `at`, head included. */
function textLength(page: Buffer, at: number): number {
  const head = page.readUInt16LE(at);
  return HEAD_BYTES + (head >> 1) * (1 + (head & 1));
}

/** FNV-1a, whose bits are then mixed: the table is told by the high ones, the slot by the low ones. */
function hashOf(page: Buffer, at: number, bytes: number): number {
  let hash = 0x811c9dc5;
  for (let i = at; i < at + bytes; i++) hash = Math.imul(hash ^ (page[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
