/** The service over PostgreSQL in place of SQLite. */
import OpenAI from 'openai';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { listeningUrl, ROOT, startNode } from './node-process.ts';
import { chatLines, startTestService, temporaryFolder } from './test-service.ts';

const postgres = usePostgres();

describe('a service with DATABASE_URL', () => {
  it('runs a batch through a kill and a restart of the database, each line once', async () => {
    const upstream = await startUpstreamServer(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return { body: { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } } };
    });
    onTestFinished(() => upstream.close());
    const dataDir = await temporaryFolder();
    const env = {
      PORT: '0',
      DATA_DIR: dataDir,
      DATABASE_URL: postgres.url,
      UPSTREAM_BASE_URL: upstream.baseUrl,
      MAX_CONCURRENCY: '16',
    };
    const start = async () => {
      const service = startNode(['src/main.ts'], { cwd: ROOT, env });
      const client = new OpenAI({
        baseURL: `${await listeningUrl(service)}/v1`,
        apiKey: 'any',
        maxRetries: 5,
      });
      return { service, client };
    };
    const first = await start();
    const file = await first.client.files.create({
      file: await OpenAI.toFile(Buffer.from(chatLines(3000)), 'requests.jsonl'),
      purpose: 'batch',
    });
    const { id } = await first.client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const completedOf = async (client: OpenAI) =>
      (await client.batches.retrieve(id)).request_counts?.completed ?? 0;
    await expect.poll(() => completedOf(first.client)).toBeGreaterThan(300);
    // As a restart of the database ends all connections.
    await postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'anyllm-batch'",
    );
    await expect.poll(() => completedOf(first.client)).toBeGreaterThan(900);
    first.service.kill('SIGKILL');
    await first.service.ended;
    // Its lease must not be waited for here: half a minute.
    await postgres.query('delete from workers');

    const second = await start();
    await expect
      .poll(async () => (await second.client.batches.retrieve(id)).status, { timeout: 30_000 })
      .toBe('completed');
    const batch = await second.client.batches.retrieve(id);
    expect(batch.request_counts).toEqual({ total: 3000, completed: 3000, failed: 0 });
    const output = await (await second.client.files.content(batch.output_file_id ?? '')).text();
    const ids = output
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);
    expect(ids).toEqual(
      chatLines(3000)
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id),
    );
    expect(first.service.stdout() + second.service.stdout()).not.toContain('postgres:postgres');
    second.service.kill('SIGTERM');
    expect((await second.service.ended).code).toBe(0);
  });

  it('does not start over the data folder of another database, whose files would be removed', async () => {
    const refusal = async (env: Record<string, string>) => {
      const { code, stdout, stderr } = await startNode(['src/main.ts'], {
        cwd: ROOT,
        env: { PORT: '0', ...env },
      }).ended;
      return `${code} ${stdout}${stderr}`;
    };
    const [ofSqlite, ofPostgres] = [await temporaryFolder(), await temporaryFolder()];
    const first = await startTestService({ DATA_DIR: ofSqlite });
    await first.stop();
    expect(await refusal({ DATA_DIR: ofSqlite, DATABASE_URL: postgres.url })).toMatch(
      /^1 .*has a SQLite database, to which its files belong/s,
    );
    await (await postgres.openStore()).close();
    const second = await startTestService({ DATA_DIR: ofPostgres, DATABASE_URL: postgres.url });
    await second.stop();
    expect(await refusal({ DATA_DIR: ofPostgres })).toMatch(/^1 .*belong to a PostgreSQL database/s);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends on %s while its start waits for others', async (signal) => {
    // As another process holds it that brings the database up to date.
    const lock = 4_717_253_001;
    await postgres.query(`select pg_advisory_lock(${lock})`);
    onTestFinished(async () => void (await postgres.query(`select pg_advisory_unlock(${lock})`)));
    const env = { PORT: '0', DATA_DIR: await temporaryFolder(), DATABASE_URL: postgres.url };
    const service = startNode(['src/main.ts'], { cwd: ROOT, env });
    const waiting = "select from pg_locks where locktype = 'advisory' and not granted";
    await expect.poll(() => postgres.query(waiting), { timeout: 15_000 }).toHaveLength(1);
    service.kill(signal);
    const { code, stdout } = await service.ended;
    expect([code, stdout]).toEqual([0, expect.stringContaining('stopped before it was ready')]);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  });

  it('does not start without the database, and says why without its password', async () => {
    const env = {
      PORT: '0',
      DATA_DIR: await temporaryFolder(),
      DATABASE_URL: 'postgres://somebody:verysecret@127.0.0.1:1/nowhere',
    };
    const service = startNode(['src/main.ts'], { cwd: ROOT, env });
    const { code, stdout, stderr } = await service.ended;
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain('ECONNREFUSED');
    expect(stdout + stderr).not.toContain('verysecret');
  });
});
