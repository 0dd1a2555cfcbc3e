import type { ResultObjects } from '../../src/adapters/postgres/index.ts';

/** A store of objects in memory. Its methods may be replaced, to fail or to take their time. */
export function memoryObjects(): ResultObjects & { readonly stored: ReadonlyMap<string, Buffer> } {
  const stored = new Map<string, Buffer>();
  return {
    stored,
    async put(name, parts) {
      stored.set(name, Buffer.concat(parts));
    },
    async readRange(name, start, length) {
      const bytes = stored.get(name);
      if (bytes === undefined || start + length > bytes.length) throw new Error(`${name} has no such bytes`);
      return Buffer.from(bytes.subarray(start, start + length));
    },
    async delete(names) {
      for (const name of names) stored.delete(name);
    },
  };
}
