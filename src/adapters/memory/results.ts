import type { ResultLog } from '../../engine/ports.ts';

/** A log, in memory that is larger than it needs, so that appending seldom copies what is there. */
interface Log {
  bytes: Buffer;
  end: number;
}

/** Result logs in memory. All bytes are copied on their way in and out. */
export function createMemoryResultLog(): ResultLog {
  const logs = new Map<string, Log>();

  function find(batchId: string): Log {
    const log = logs.get(batchId);
    if (log === undefined) throw new Error(`there is no result log of ${batchId}`);
    return log;
  }

  return {
    async append(batchId, parts) {
      let log = logs.get(batchId);
      if (log === undefined) logs.set(batchId, (log = { bytes: Buffer.alloc(0), end: 0 }));
      const position = log.end;
      for (const part of parts) appendPart(log, part);
      return { position };
    },
    async read(batchId, position, length) {
      return copyOf(find(batchId), batchId, position, length);
    },
    async open(batchId) {
      const log = find(batchId);
      return {
        read: async (position, length) => copyOf(log, batchId, position, length),
        close: async () => {},
      };
    },
    async drop(batchId) {
      logs.delete(batchId);
    },
    async *list() {
      yield* logs.keys();
    },
    close: async () => {},
  };
}

function copyOf(log: Log, batchId: string, position: number, length: number): Buffer {
  const end = position + length;
  if (end > log.end)
    throw new Error(`the result log of ${batchId} ends at byte ${log.end}, before byte ${end}`);
  return Buffer.from(log.bytes.subarray(position, end));
}

function appendPart(log: Log, part: Uint8Array): void {
  const end = log.end + part.length;
  if (end > log.bytes.length) {
    const larger = Buffer.alloc(Math.max(end, 2 * log.bytes.length));
    log.bytes.copy(larger, 0, 0, log.end);
    log.bytes = larger;
  }
  log.bytes.set(part, log.end);
  log.end = end;
}
