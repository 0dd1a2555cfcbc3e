/** Connections, statements and transactions. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createCommitFates } from './commit-fates.ts';
import { commitMarked, createCommitMarks, wasCommitted } from './commit-marks.ts';
import type { CommitMark } from './commit-marks.ts';
import { codeOf, isConnectionLost, isRepeatable, toStorageError } from './errors.ts';
import type { Sql, SqlValue } from './sql.ts';
import { fromPostgresText, toPostgresText } from './text.ts';

export type { Sql, SqlValue } from './sql.ts';

/**
 * Statements outside of `transaction` are for reading, and for writes that may as well be made or not where they reject: whether one
 * of them was committed cannot be found out.
 */
export interface Database extends Sql {
  /**
   * Makes `work` one transaction (READ COMMITTED): all of it or, where it rejects, nothing. Made again where PostgreSQL undid it
   * because of others. Where the connection is lost during the commit, asks another one what became of it. Rejects with a
   * `code` that begins with E where the database cannot be reached. `giveBack` undoes, in a transaction of its own, what was committed
   * although this rejected, as soon as that is known; for what nobody else would ever free. It may be called more than once.
   */
  transaction<T>(
    work: (sql: Sql) => Promise<T>,
    giveBack?: (sql: Sql, result: T) => Promise<void>,
  ): Promise<T>;
  /** The same before the database has its tables: where the answer to the commit is lost, it rejects, whether it was committed or not. */
  bareTransaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** Connections that this process may have open. */
  readonly maxConnections: number;
  /** Told of connections that were lost while they were idle. */
  readonly onLost: (error: Error) => void;
  /** After so long without an answer a connection is taken for lost, milliseconds. Default 40,000: longer than any statement may take. */
  readonly answerTimeoutMs?: number | undefined;
  /** For so long does a caller wait for what became of its commit, milliseconds. Default 15,000. */
  readonly maxDoubtMs?: number | undefined;
  /** How the database's views name its connections. Default: `anyllm-batch`. */
  readonly name?: string;
}

/** The name of a service's connections. */
export const SERVICE_NAME = 'anyllm-batch';
const CONNECT_TIMEOUT_MS = 10_000;
/** Nothing that this program sends takes nearly as long. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** What a process holds locked that was stopped in the middle of a transaction must not stop the others for long. */
const IDLE_TIMEOUT_MS = 10_000;
/** A network that loses packets without a word ends no connection. */
const ANSWER_TIMEOUT_MS = 40_000;
const MAX_TRIES = 5;
const MAX_DOUBT_MS = 15_000;

/** The object ids of PostgreSQL's own types. */
const INT8 = 20;
const TEXT = 25;

/** Opens no connection yet. */
export function openPool(options: DatabaseOptions): Database {
  const { url, maxConnections, onLost, name = SERVICE_NAME } = options;
  const { answerTimeoutMs = ANSWER_TIMEOUT_MS, maxDoubtMs = MAX_DOUBT_MS } = options;
  const pool = new pg.Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TIMEOUT_MS,
    query_timeout: answerTimeoutMs,
    keepAlive: true,
    application_name: name,
    types: { getTypeParser },
  });
  // The driver hangs its client on the error, with the password.
  pool.on('error', (error) => onLost(Object.assign(new Error(error.message), { code: codeOf(error) })));

  const statements = statementsOn(pool);
  const fates = createCommitFates({ ask: (mark) => wasCommitted(statements, mark), maxMs: maxDoubtMs });
  const marks = createCommitMarks();
  pool.on('remove', (client) => marks.free(client));

  async function connect(): Promise<pg.PoolClient> {
    const client = await pool.connect();
    // Else an idle moment between two statements would take the process down.
    if (client.listenerCount('error') < 2) client.on('error', () => {});
    return client;
  }

  async function attempt<T>(
    work: (sql: Sql) => Promise<T>,
    isMarked: boolean,
    giveBack: ((sql: Sql, result: T) => Promise<void>) | undefined,
  ): Promise<T> {
    const client = await connect();
    const mark = isMarked ? marks.next(client) : null;
    let broken: Error | undefined;
    let sent: { readonly result: T } | undefined;
    try {
      await client.query('begin');
      sent = { result: await work(statementsOn(client)) };
      await client.query(mark === null ? 'commit' : commitMarked(mark));
      return sent.result;
    } catch (error) {
      if (isConnectionLost(error)) broken = error as Error;
      else await client.query('rollback').catch((cause: Error) => (broken = cause));
      if (sent === undefined || mark === null || !isConnectionLost(error)) throw error;
    } finally {
      if (broken !== undefined) marks.lose(client);
      client.release(broken);
    }
    // The connection is given back by now, for asking takes one, and all may have been lost during commits.
    return await findOut(mark, sent.result, giveBack, broken);
  }

  /** The result of a transaction where it turns out to be committed; else rejects with `error`. */
  async function findOut<T>(
    mark: CommitMark,
    result: T,
    giveBack: ((sql: Sql, result: T) => Promise<void>) | undefined,
    error: unknown,
  ): Promise<T> {
    const fate = await fates.find(mark);
    if (fate === 'committed') return result;
    if (fate === 'unknown' && giveBack !== undefined)
      fates.undoLate(mark, () => transaction((sql) => giveBack(sql, result)));
    throw error;
  }

  async function repeat<T>(attemptIt: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await attemptIt();
      } catch (error) {
        if (!isRepeatable(error) || tries === MAX_TRIES) throw toStorageError(error);
        await sleep(Math.random() * 10 * 2 ** tries);
      }
    }
  }

  function transaction<T>(
    work: (sql: Sql) => Promise<T>,
    giveBack?: (sql: Sql, result: T) => Promise<void>,
  ): Promise<T> {
    return repeat(() => attempt(work, true, giveBack));
  }

  return {
    ...statements,
    transaction,
    bareTransaction: (work) => repeat(() => attempt(work, false, undefined)),
    async close() {
      await Promise.all([fates.close(), pool.end()]);
    },
  };
}

/** The statements of a connection, or of the pool's next free one. */
function statementsOn(client: pg.Pool | pg.PoolClient): Sql {
  async function query<Row extends object>(text: string, values: readonly SqlValue[]) {
    try {
      return await client.query<Row>({ name: nameOf(text), text, values: values.map(toParameter) });
    } catch (error) {
      // Within a transaction it must be seen what it was.
      throw client instanceof pg.Pool ? toStorageError(error) : error;
    }
  }
  return {
    all: async <Row extends object>(text: string, ...values: readonly SqlValue[]) =>
      (await query<Row>(text, values)).rows,
    get: async <Row extends object>(text: string, ...values: readonly SqlValue[]) =>
      (await query<Row>(text, values)).rows[0],
    run: async (text, ...values) => (await query(text, values)).rowCount ?? 0,
    exec: async (text) => void (await client.query(text)),
  };
}

const names = new Map<string, string>();

/** A name by which each connection knows the prepared statement. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = createHash('sha256').update(text).digest('base64url').slice(0, 20);
    names.set(text, name);
  }
  return name;
}

function toParameter(value: SqlValue): unknown {
  if (typeof value === 'string') return toPostgresText(value);
  if (Array.isArray(value))
    return value.map((item: unknown) => (typeof item === 'string' ? toPostgresText(item) : item));
  // The driver takes other views for JSON.
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return value;
}

/** Numbers as numbers (all of ours are exact), texts as they were given. */
function getTypeParser(type: number, format?: 'text' | 'binary') {
  if (type === INT8) return Number;
  if (type === TEXT) return fromPostgresText;
  return pg.types.getTypeParser(type, format as 'text');
}
