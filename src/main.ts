#!/usr/bin/env node
/** The process: reads the settings, starts the service, stops it on a signal. Or moves its data, as the first argument says. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import type { Logger } from 'pino';
import { ConfigError, isLoopback, loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { createLog } from './log.ts';
import type { Log } from './log.ts';
import { startService } from './service.ts';
import type { Service } from './service.ts';

/** The variables of `.env` in the working directory, if it is there. */
function readDotEnv(): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync('.env', 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

function readConfig(): Config {
  try {
    const env = { ...readDotEnv(), ...process.env };
    // What AWS's own libraries read is in no Config: they look into the environment themselves.
    for (const [name, value] of Object.entries(env)) {
      if (name.startsWith('AWS_') && value) process.env[name] = value;
    }
    return loadConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** What an operator should know at the start, because it is not what production looks like. */
function announce(config: Config, service: Service, log: Logger): void {
  const hasFolder = config.DATABASE_URL === null || config.BLOB_URL === null;
  const dataDir = hasFolder ? config.DATA_DIR : undefined;
  log.info({ url: service.url, role: config.ROLE, worker: service.worker ?? undefined, dataDir }, 'ready');
  if (config.UPSTREAM_BASE_URL === null) {
    log.warn({}, "no UPSTREAM_BASE_URL is set: only the built-in model 'echo' answers");
  }
  if (!service.isOpen) return;
  const reach = isLoopback(config.HOST)
    ? 'only this machine can connect'
    : 'anyone who can connect may use it';
  log.warn({ host: config.HOST }, `there are no keys: requests need none, and ${reach}`);
}

/**
 * The first signal stops gracefully, a second one at once. Until the service is there, which the answer is told, the first one ends the
 * process: nothing was promised yet, and what a start waits for (migrations, a lock, a store) may take long.
 */
function stopOnSignals({ logger, exit }: Log): (service: Service) => void {
  let service: Service | null = null;
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return exit(1);
      stopping = true;
      if (service === null) {
        logger.info({ signal }, 'stopped before it was ready');
        return exit(0);
      }
      logger.info({ signal }, 'stopping');
      service.stop().then(
        () => {
          logger.info({}, 'stopped');
          exit(0);
        },
        (error: unknown) => {
          logger.error(
            { err: error },
            'stopped with an error; unfinished lines run again after the next start',
          );
          exit(1);
        },
      );
    });
  }
  return (started) => void (service = started);
}

async function serve(config: Config): Promise<void> {
  const log = createLog(config.LOG_LEVEL);
  // A process in an unknown state must not go on: the next start resumes from what is committed.
  process.on('uncaughtException', (error) => {
    log.logger.fatal({ err: error }, 'unexpected error');
    log.exit(1);
  });
  const setReady = stopOnSignals(log);
  try {
    const service = await startService(config, log.logger);
    setReady(service);
    announce(config, service, log.logger);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.logger.fatal({ err: error }, `cannot start: ${reason}`);
    log.exit(1);
  }
}

const [command] = process.argv.slice(2);
switch (command) {
  case undefined:
    await serve(readConfig());
    break;
  case 'migrate-data':
    // The service does without it.
    process.exitCode = await (await import('./migrate-data/command.ts')).runMigrateData(readConfig());
    break;
  default:
    process.stderr.write(
      `unknown command '${command}': without one the service starts, and 'migrate-data' moves its data (docs/scaling.md)\n`,
    );
    process.exitCode = 1;
}
