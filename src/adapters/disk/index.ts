export { createDiskBlobStore } from './blob-store.ts';
export { lockDataFolder, openDataFolder } from './data-folder.ts';
export type { DataFolder } from './data-folder.ts';
export { databaseMark, filesNote, IN_FOLDER, ownDatabaseId, readOwnDatabaseId } from './database-mark.ts';
export { hasDatabase, readMoveMark, writeMoveMark } from './move-mark.ts';
export type { MoveMark } from './move-mark.ts';
export { createDiskResultLog } from './result-log.ts';
