/** The composition root: settings → adapters → engine → worker → HTTP, and their ordered end. */
import type { Logger } from 'pino';
import { createTokenCounter } from './adapters/tokens/index.ts';
import { createEchoUpstream, createHttpUpstream } from './adapters/upstream/index.ts';
import { createWebhookSender } from './adapters/webhook/index.ts';
import type { Config } from './config.ts';
import { createEngine, systemClock } from './engine/index.ts';
import type { Engine, EngineSettings, Upstream } from './engine/index.ts';
import { buildApp, buildHealthApp } from './http/app.ts';
import { createWorker } from './worker/index.ts';
import { openStorage } from './storage.ts';
import type { Opened } from './storage.ts';
import type { Worker } from './worker/index.ts';

export interface Service {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  /** The id of its worker; null where it has none. */
  readonly worker: string | null;
  /** True where anybody was answered when it started: it asks for a key only where there are some. */
  readonly isOpen: boolean;
  /** Stops gracefully: no new work, requests in flight end within SHUTDOWN_GRACE_MS, results are committed. */
  stop(): Promise<void>;
}

/** Starts the service and resolves when it listens and its worker runs. Rejects, with everything closed again, where it cannot. */
export async function startService(config: Config, log: Logger): Promise<Service> {
  const opened: Opened = [];
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
  opened: Opened,
  closeAll: () => Promise<void>,
): Promise<Service> {
  const { listen, ...storage } = await openStorage(config, log, opened);
  const parts = { ...storage, ...openRest(config, opened) };
  const engine = createEngine({ ...parts, log, clock: systemClock, settings: engineSettings(config) });
  const worker = config.ROLE === 'api' ? null : createWorkerOf(config, engine);
  const isOpen = config.ROLE !== 'worker' && config.API_KEYS.length === 0 && !(await engine.keys.exist());
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
  await worker?.start();
  const stopWorker = async (): Promise<void> => await worker?.stop({ graceMs: config.SHUTDOWN_GRACE_MS });
  opened.push(stopWorker);
  const hints = worker === null ? null : listen?.(engine.context.wake);
  ready = true;

  async function stop(): Promise<void> {
    ready = false;
    // Slow downloads and half-sent uploads do not hold the stop up for longer than requests to the upstream.
    const cancel = systemClock.after(config.SHUTDOWN_GRACE_MS, () => app.server.closeAllConnections());
    const appClosed = app.close();
    const results = await Promise.allSettled([appClosed, stopWorker(), hints?.close()]);
    cancel();
    opened.splice(-2);
    await closeAll();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  return { url, worker: worker?.id ?? null, isOpen, stop };
}

function openRest(config: Config, opened: Opened) {
  const upstream = openUpstream(config);
  opened.push(() => upstream.close());
  const webhooks = createWebhookSender({ allowPrivate: config.WEBHOOK_ALLOW_PRIVATE });
  opened.push(() => webhooks.close());
  const tokens = createTokenCounter({ clock: systemClock });
  opened.push(() => tokens.close());
  return { upstream, webhooks, tokens };
}

function createWorkerOf(config: Config, engine: Engine): Worker {
  return createWorker({
    engine,
    maxConcurrency: config.MAX_CONCURRENCY,
    modelConcurrency: new Map(config.MODEL_CONCURRENCY),
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
    completionWindows: config.COMPLETION_WINDOWS,
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
