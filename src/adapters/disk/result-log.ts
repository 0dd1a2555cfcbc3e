import { open, readdir, rm } from 'node:fs/promises';
import type { ResultLog } from '../../engine/ports.ts';
import type { DataFolder } from './data-folder.ts';
import { HandleCache } from './handle-cache.ts';
import { makeFolders, readFully } from './io.ts';
import { openLogAppender } from './log-appender.ts';
import { batchOfFile, dataPaths, logPath } from './paths.ts';

/** So many logs stay open for appending, and as many for reading. */
const MAX_OPEN = 64;

/** Result logs as one file a batch. Rejects ids that are not `batch_` and hex digits. */
export async function createDiskResultLog({ folder }: { readonly folder: DataFolder }): Promise<ResultLog> {
  const { results } = dataPaths(folder.path);
  await makeFolders(folder.path, ['results']);
  const appenders = new HandleCache({
    max: MAX_OPEN,
    open: async (batchId) => await openLogAppender(logPath(results, batchId)),
  });
  const readers = new HandleCache({
    max: MAX_OPEN,
    open: async (batchId) => await open(logPath(results, batchId), 'r'),
  });
  return {
    append: async (batchId, parts) => ({
      position: await appenders.use(batchId, (appender) => appender.append(parts)),
    }),
    read: (batchId, position, length) =>
      readers.use(batchId, (handle) => readFully(handle, `the result log of ${batchId}`, position, length)),
    async open(batchId) {
      const handle = await open(logPath(results, batchId), 'r');
      return {
        read: async (position, length) =>
          await readFully(handle, `the result log of ${batchId}`, position, length),
        close: () => handle.close(),
      };
    },
    async drop(batchId) {
      // Not synced: if power loss brings it back, it is the log of an ended batch, and the next sweep drops it.
      await rm(logPath(results, batchId), { force: true });
      await Promise.all([appenders.retire(batchId), readers.retire(batchId)]);
    },
    list: () => listLogs(results),
    async close() {
      await Promise.all([appenders.close(), readers.close()]);
    },
  };
}

async function* listLogs(results: string): AsyncGenerator<string> {
  for (const name of await readdir(results)) {
    const batchId = batchOfFile(name);
    if (batchId !== null) yield batchId;
  }
}
