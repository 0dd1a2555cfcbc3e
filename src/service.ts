/** The composition root: settings → adapters → engine → worker → HTTP, and their ordered end. */
import type { Logger } from 'pino';
import { createDiskBlobStore, createDiskResultLog, openDataFolder } from './adapters/disk/index.ts';
import type { DataFolder } from './adapters/disk/index.ts';
import { openSqliteStore } from './adapters/sqlite/index.ts';
import { createTokenCounter } from './adapters/tokens/index.ts';
import { createEchoUpstream, createHttpUpstream } from './adapters/upstream/index.ts';
import { createWebhookSender } from './adapters/webhook/index.ts';
import type { Config } from './config.ts';
import { createEngine, systemClock } from './engine/index.ts';
import type { EngineSettings, Store, Upstream } from './engine/index.ts';
import { buildApp } from './http/app.ts';
import { createWorker } from './worker/index.ts';

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
  const use = { state: config.DATABASE_URL === null, files: true };
  const folder = await openDataFolder({ path: config.DATA_DIR, use });
  opened.push(() => folder.close());
  const parts = await openParts(config, folder, log, opened);
  const engine = createEngine({ ...parts, log, clock: systemClock, settings: engineSettings(config) });
  const worker = createWorker({ engine, maxConcurrency: config.MAX_CONCURRENCY });
  let ready = false;
  const app = buildApp({
    engine,
    log,
    apiKeys: config.API_KEYS,
    isReady: () => ready,
    messages: { publicBaseUrl: config.PUBLIC_BASE_URL },
  });

  // First: with the port in use no line must be sent. Requests that come before the worker runs only wait for it.
  opened.push(() => app.close());
  const url = await app.listen({ host: config.HOST, port: config.PORT });
  await worker.start();
  opened.push(() => worker.stop({ graceMs: config.SHUTDOWN_GRACE_MS }));
  ready = true;

  async function stop(): Promise<void> {
    ready = false;
    // Slow downloads and half-sent uploads do not hold the stop up for longer than requests to the upstream.
    const cancel = systemClock.after(config.SHUTDOWN_GRACE_MS, () => app.server.closeAllConnections());
    const appClosed = app.close();
    const workerStopped = worker.stop({ graceMs: config.SHUTDOWN_GRACE_MS });
    const results = await Promise.allSettled([appClosed, workerStopped]);
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

async function openStore(config: Config, folder: DataFolder, log: Logger): Promise<Store> {
  if (config.DATABASE_URL === null) return openSqliteStore({ path: folder.databasePath });
  // Its driver takes some time to load, which most starts need not wait for.
  const { openPostgresStore } = await import('./adapters/postgres/index.ts');
  return await openPostgresStore({
    url: config.DATABASE_URL,
    maxConnections: config.DATABASE_CONNECTIONS,
    onLost: (error) => log.warn({ err: error }, 'a connection to the database was lost'),
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
