export { createDiskBlobStore } from './blob-store.ts';
export { openDataFolder } from './data-folder.ts';
export type { DataFolder } from './data-folder.ts';
export { databaseMark } from './database-mark.ts';
export { createDiskResultLog } from './result-log.ts';
