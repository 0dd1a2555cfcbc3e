/** The composition root: settings → adapters → engine → worker → HTTP, and their ordered end. */
import type { Logger } from 'pino';
import {
  createDiskBlobStore,
  createDiskResultLog,
  databaseMark,
  openDataFolder,
} from './adapters/disk/index.ts';
import type { DataFolder } from './adapters/disk/index.ts';
import { openSqliteStore } from './adapters/sqlite/index.ts';
import { createTokenCounter } from './adapters/tokens/index.ts';
import { createEchoUpstream, createHttpUpstream } from './adapters/upstream/index.ts';
import { createWebhookSender } from './adapters/webhook/index.ts';
import type { Config } from './config.ts';
import { createEngine, systemClock } from './engine/index.ts';
import type { Engine, EngineSettings, Store, Upstream } from './engine/index.ts';
import { buildApp, buildHealthApp } from './http/app.ts';
import { createWorker } from './worker/index.ts';
import type { Worker } from './worker/index.ts';

export interface Service {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Stops gracefully: no new work, requests in flight end within SHUTDOWN_GRACE_MS, results are committed. */
  stop(): Promise<void>;
}

/** Starts the service and resolves when it listens and its worker runs. Rejects, with everything closed again, where it cannot. */
export async function startService(config: Config, log: Logger): Promise<Service> {
  /** What to close, the last opened first. */
  const opened: (() => Promise<unknown>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of opened.splice(0).toReversed()) await close();
  };
  try {
    return await open(config, log, opened, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function open(
  config: Config,
  log: Logger,
  opened: (() => Promise<unknown>)[],
  closeAll: () => Promise<void>,
): Promise<Service> {
  const folder = await openDataFolder({ path: config.DATA_DIR });
  opened.push(() => folder.close());
  const parts = await openParts(config, folder, log, opened);
  const engine = createEngine({ ...parts, log, clock: systemClock, settings: engineSettings(config) });
  const worker =
    config.ROLE === 'api' ? noWorker : createWorker({ engine, maxConcurrency: config.MAX_CONCURRENCY });
  let ready = false;
  const http = { engine, log, isReady: () => ready };
  const app =
    config.ROLE === 'worker'
      ? buildHealthApp(http)
      : buildApp({
          ...http,
          apiKeys: config.API_KEYS,
          messages: { publicBaseUrl: config.PUBLIC_BASE_URL },
        });

  // First: with the port in use no line must be sent. Requests that come before the worker runs only wait for it.
  opened.push(() => app.close());
  const url = await app.listen({ host: config.HOST, port: config.PORT });
  await worker.start();
  opened.push(() => worker.stop({ graceMs: config.SHUTDOWN_GRACE_MS }));
  const hints = config.ROLE === 'api' ? null : await openHints(config, engine, log);
  ready = true;

  async function stop(): Promise<void> {
    ready = false;
    // Slow downloads and half-sent uploads do not hold the stop up for longer than requests to the upstream.
    const cancel = systemClock.after(config.SHUTDOWN_GRACE_MS, () => app.server.closeAllConnections());
    const appClosed = app.close();
    const workerStopped = worker.stop({ graceMs: config.SHUTDOWN_GRACE_MS });
    const results = await Promise.allSettled([appClosed, workerStopped, hints?.close()]);
    cancel();
    opened.splice(-2);
    await closeAll();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  return { url, stop };
}

async function openParts(
  config: Config,
  folder: DataFolder,
  log: Logger,
  opened: (() => Promise<unknown>)[],
) {
  const store = await openStore(config, folder, log);
  opened.push(() => store.close());
  const blobs = await createDiskBlobStore({ folder });
  const results = await createDiskResultLog({ folder });
  opened.push(() => results.close());
  const upstream = openUpstream(config);
  opened.push(() => upstream.close());
  const webhooks = createWebhookSender({ allowPrivate: config.WEBHOOK_ALLOW_PRIVATE });
  opened.push(() => webhooks.close());
  const tokens = createTokenCounter({ clock: systemClock });
  opened.push(() => tokens.close());
  return { store, blobs, results, upstream, webhooks, tokens };
}

/** The worker of a process that has none. */
const noWorker: Worker = { start: async () => {}, stop: async () => {} };

/** Where other processes may create batches, hears of it at once. */
async function openHints(config: Config, engine: Engine, log: Logger) {
  if (config.DATABASE_URL === null || config.BLOB_URL === null) return null;
  const { listenForHints } = await import('./adapters/postgres/index.ts');
  return listenForHints({
    url: config.DATABASE_URL,
    onHint: engine.context.wake,
    onLost: (error) =>
      log.warn(
        { err: error },
        'the connection that hears of new batches was lost; they are found all the same',
      ),
  });
}

async function openStore(config: Config, folder: DataFolder, log: Logger): Promise<Store> {
  const mark = databaseMark(folder);
  if (config.DATABASE_URL === null) {
    if ((await mark.read()) !== null) {
      throw new Error(
        `The files in the data folder ${folder.path} belong to a PostgreSQL database: set DATABASE_URL, or another DATA_DIR.`,
      );
    }
    return openSqliteStore({ path: folder.databasePath });
  }
  if (config.BLOB_URL === null && (await mark.read()) === null && (await mark.hasOwnDatabase())) {
    throw new Error(
      `The data folder ${folder.path} has a SQLite database, to which its files belong: with DATABASE_URL set another DATA_DIR.`,
    );
  }
  // Its driver takes some time to load, which most starts need not wait for.
  const { openPostgresStore } = await import('./adapters/postgres/index.ts');
  return await openPostgresStore({
    url: config.DATABASE_URL,
    maxConnections: config.DATABASE_CONNECTIONS,
    files:
      config.BLOB_URL === null
        ? { place: 'a data folder', mark }
        : { place: config.BLOB_URL.replace(/\/+$/, ''), mark: null },
    onLost: (error) => log.warn({ err: error }, 'a connection to the database was lost'),
    onClockOff: (ms) =>
      log.warn(
        { seconds: Math.round(ms / 1000) },
        "this machine's clock is not the database's; deadlines are judged by the clock of whichever node looks first",
      ),
  });
}

function openUpstream(config: Config): Upstream {
  if (config.UPSTREAM_BASE_URL === null) return createEchoUpstream();
  return createHttpUpstream({
    baseUrl: config.UPSTREAM_BASE_URL,
    apiKey: config.UPSTREAM_API_KEY,
    format: config.UPSTREAM_FORMAT,
    requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
    maxResponseBytes: config.MAX_RESPONSE_BYTES,
    clock: systemClock,
  });
}

function engineSettings(config: Config): EngineSettings {
  return {
    maxFileBytes: config.MAX_FILE_BYTES,
    maxUploadBytes: config.MAX_UPLOAD_BYTES,
    maxBatchBytes: config.MAX_BATCH_BYTES,
    maxBatchLines: config.MAX_BATCH_LINES,
    maxLineBytes: config.MAX_LINE_BYTES,
    endpoints: config.ENDPOINTS,
    completionWindows: [...new Set(['24h', ...config.COMPLETION_WINDOWS])],
    oneModelPerBatch: config.ONE_MODEL_PER_BATCH,
    maxRetries: config.MAX_RETRIES,
    retryBaseMs: config.RETRY_BASE_MS,
    webhookUrls: config.WEBHOOK_URLS,
    webhookSigningSecret: config.WEBHOOK_SIGNING_SECRET,
    ownerLimits: {
      requestsPerMinute: config.OWNER_REQUESTS_PER_MINUTE,
      maxStoredBytes: config.OWNER_MAX_STORED_BYTES,
      maxQueuedLines: config.OWNER_MAX_QUEUED_LINES,
      maxLiveBatches: config.OWNER_MAX_LIVE_BATCHES,
    },
  };
}
