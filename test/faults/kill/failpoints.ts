/**
 * Loaded into the service before its entry file: numbers each fsync, rename, removal and commit that it makes, before and
 * after, and kills the process at number `FAULT_KILL_AT`. The shipped code knows nothing of it.
 */
import fs from 'node:fs/promises';
import { writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import Database from 'better-sqlite3';

const killAt = Number(process.env['FAULT_KILL_AT']);
let points = 0;

/** SIGKILL ends the process before the next instruction, and nothing of it can run any more. */
function failpoint(name: string): void {
  if (++points !== killAt) return;
  writeSync(2, `killed at point ${points}: ${name}\n`);
  process.kill(process.pid, 'SIGKILL');
  // The signal may be taken a moment later.
  for (;;);
}

type AsyncCall = (this: unknown, ...args: unknown[]) => Promise<unknown>;

function watchAsync(owner: object, method: string): void {
  const calls = owner as Record<string, AsyncCall>;
  const real = calls[method] as AsyncCall;
  calls[method] = async function watched(...args) {
    failpoint(`before ${method}`);
    const result = await real.apply(this, args);
    failpoint(`after ${method}`);
    return result;
  };
}

const handle = await fs.open(process.execPath, 'r');
const handles = Object.getPrototypeOf(handle) as object;
await handle.close();
watchAsync(handles, 'sync');
watchAsync(handles, 'datasync');
watchAsync(fs, 'rename');
watchAsync(fs, 'rm');
syncBuiltinESMExports();

/** A statement that leaves no transaction open has committed; `begin` and what stands inside one has not. */
const db = new Database(':memory:');
const statements = Object.getPrototypeOf(db.prepare('select 1')) as Record<
  string,
  (...args: unknown[]) => unknown
>;
db.close();
const run = statements['run'] as (...args: unknown[]) => unknown;
statements['run'] = function watched(this: Database.Statement, ...args: unknown[]) {
  const isCommit = !this.database.inTransaction || /^commit/i.test(this.source);
  if (isCommit && !/^begin/i.test(this.source)) failpoint('before commit');
  const result = run.apply(this, args);
  if (isCommit && !this.database.inTransaction) failpoint('after commit');
  return result;
};
