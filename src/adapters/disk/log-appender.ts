import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FILE_MODE, syncFolder, writePartsFully } from './io.ts';

export interface LogAppender {
  /**
   * Writes and syncs `parts` at the end and answers where they begin. Calls run one after another. After a
   * failure every further call rejects too: a sync that failed may be followed by one that succeeds without
   * having written anything, so the file must be opened again.
   */
  append(parts: readonly Uint8Array[]): Promise<number>;
  close(): Promise<void>;
}

/** Opens the log at `path` and creates it where it is missing. The next append goes after whatever is there. */
export async function openLogAppender(path: string): Promise<LogAppender> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT, FILE_MODE);
  let end: number;
  try {
    end = (await handle.stat()).size;
    // An empty log may be a new one, whose name is not yet safe; a longer one was begun after this had succeeded.
    if (end === 0) await syncFolder(dirname(path));
  } catch (error) {
    await handle.close();
    throw error;
  }

  async function append(parts: readonly Uint8Array[]): Promise<number> {
    const position = end;
    try {
      const bytes = await writePartsFully(handle, parts, position);
      await handle.datasync();
      end += bytes;
      return position;
    } catch (error) {
      // Tries to give back what was written: on a full disk, attempt after attempt would fill what others free.
      await handle.truncate(position).catch(() => {});
      throw error;
    }
  }

  let last: Promise<unknown> = Promise.resolve();
  return {
    append(parts) {
      // No recovery between them: a rejection passes on to all that wait behind it.
      const mine = last.then(() => append(parts));
      last = mine;
      return mine;
    },
    close: () => handle.close(),
  };
}
