import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { describeStoreContract } from '../contracts/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'sqlite-store-'));
let files = 0;

afterAll(() => rmSync(folder, { recursive: true }));

describeStoreContract('SQLite in a file', () => openSqliteStore({ path: join(folder, `${files++}.db`) }));
describeStoreContract('SQLite in memory', () => openSqliteStore({ path: ':memory:' }));
