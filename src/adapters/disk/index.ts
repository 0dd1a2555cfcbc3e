export { createDiskBlobStore } from './blob-store.ts';
export { openDataFolder } from './data-folder.ts';
export type { DataFolder } from './data-folder.ts';
export { createDiskResultLog } from './result-log.ts';
