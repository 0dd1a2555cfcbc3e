/**
 * Loaded into the service before its entry file. SIGUSR2 makes its storage ill: syncs and statements fail; a second one
 * makes it well again. SIGHUP throws an error that nobody catches. The shipped code knows nothing of it.
 */
import fs from 'node:fs/promises';
import Database from 'better-sqlite3';

let isIll = false;
process.on('SIGUSR2', () => (isIll = !isIll));
process.on('SIGHUP', () => {
  throw new Error('an error that nobody has foreseen');
});

type Method = (this: { readonly source?: string }, ...args: unknown[]) => unknown;

function failWhileIll(owner: object, method: string, failure: () => Error): void {
  const methods = owner as Record<string, Method>;
  const real = methods[method] as Method;
  methods[method] = function failing(...args) {
    if (isIll && !/^rollback/i.test(this.source ?? '')) throw failure();
    return real.apply(this, args);
  };
}

const handle = await fs.open(process.execPath, 'r');
const handles = Object.getPrototypeOf(handle) as object;
await handle.close();
for (const method of ['sync', 'datasync']) {
  failWhileIll(handles, method, () => Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
}

const db = new Database(':memory:');
const statements = Object.getPrototypeOf(db.prepare('select 1')) as object;
db.close();
for (const method of ['run', 'get', 'all']) {
  failWhileIll(statements, method, () => new Database.SqliteError('disk I/O error', 'SQLITE_IOERR'));
}
