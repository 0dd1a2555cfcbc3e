/** `migrate-data` as an operator runs it. */
import OpenAI from 'openai';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listeningUrl, ROOT, startNode } from '../e2e/node-process.ts';
import { chatLines, temporaryFolder } from '../e2e/test-service.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { describeOnS3 } from '../helpers/s3-gateway.ts';

const postgres = usePostgres();

type Env = Readonly<Record<string, string>>;

function run(env: Env, ...args: readonly string[]) {
  return startNode(['src/main.ts', ...args], { cwd: ROOT, env: { PORT: '0', ...env } });
}

async function start(env: Env) {
  const service = run(env);
  const client = new OpenAI({ baseURL: `${await listeningUrl(service)}/v1`, apiKey: 'any' });
  return { service, client };
}

async function aDatabase(): Promise<string> {
  await (await postgres.openStore()).close();
  await expect
    .poll(() => postgres.query("select from pg_stat_activity where application_name = 'anyllm-batch'"))
    .toEqual([]);
  return postgres.url;
}

async function stop({ service }: Awaited<ReturnType<typeof start>>): Promise<void> {
  service.kill('SIGTERM');
  await service.ended;
}

/** Starts a service that stores a file; answers the file's id when it has stopped. */
async function storeFile(env: Env): Promise<string> {
  const started = await start(env);
  const { id } = await started.client.files.create({
    file: await OpenAI.toFile(Buffer.from(chatLines(3, 'echo')), 'requests.jsonl'),
    purpose: 'batch',
  });
  await stop(started);
  return id;
}

/** A start that is refused, and why. */
async function refusal(env: Env): Promise<string> {
  const { code, stdout } = await run(env).ended;
  expect(code).toBe(1);
  return stdout;
}

async function expectFile(env: Env, id: string): Promise<void> {
  const started = await start(env);
  expect(await (await started.client.files.content(id)).text()).toBe(chatLines(3, 'echo'));
  await stop(started);
}

describe('the way back after a move', () => {
  it('is told, where the files stayed in the folder', async () => {
    const [DATA_DIR, DATABASE_URL] = [await temporaryFolder(), await aDatabase()];
    const file = await storeFile({ DATA_DIR });
    expect((await run({ DATA_DIR, DATABASE_URL }, 'migrate-data').ended).code).toBe(0);
    await expectFile({ DATA_DIR, DATABASE_URL }, file);

    const [moved, mark] = [join(DATA_DIR, 'moved'), join(DATA_DIR, 'database-id')];
    expect(await refusal({ DATA_DIR })).toContain(`remove ${moved} and, if it is there, ${mark}.`);
    await rm(moved);
    expect(await refusal({ DATA_DIR })).toContain(`which was moved there, remove ${mark}.`);
    await rm(mark);
    await expectFile({ DATA_DIR }, file);
    expect(await refusal({ DATA_DIR, DATABASE_URL })).toContain('to which its files belong');
  }, 60_000);

  describeOnS3('from a bucket', (s3) => {
    it('is told, where the files were in it before', async () => {
      const env = { ...s3.env(), DATA_DIR: await temporaryFolder() };
      const { BLOB_URL = '' } = s3.env();
      const before = { ...env, BLOB_URL };
      const after = { ...before, DATABASE_URL: await aDatabase() };
      const file = await storeFile(before);
      expect((await run(after, 'migrate-data').ended).code).toBe(0);
      await expectFile(after, file);

      await rm(join(env.DATA_DIR, 'moved'));
      const told = `copy the file own-database-id of the folder to ${BLOB_URL}/database-id`;
      expect(await refusal(before)).toContain(told);
      const bucket = await s3.open({ prefix: BLOB_URL.split('/').at(-1) ?? '' });
      await bucket.put('database-id', await readFile(join(env.DATA_DIR, 'own-database-id')));
      await expectFile(before, file);
      expect(await refusal(after)).toContain('belong to another database');
    }, 60_000);
  });
});

describe('the command migrate-data', () => {
  it('moves the folder of a service, which then starts with DATABASE_URL and not without', async () => {
    const [DATA_DIR, DATABASE_URL] = [await temporaryFolder(), await aDatabase()];
    const before = await start({ DATA_DIR });
    const file = await before.client.files.create({
      file: await OpenAI.toFile(Buffer.from(chatLines(3, 'echo')), 'requests.jsonl'),
      purpose: 'batch',
    });
    const refused = await run({ DATA_DIR, DATABASE_URL }, 'migrate-data').ended;
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^cannot move: The data folder .* is in use by another process .*\n$/);
    before.service.kill('SIGTERM');
    await before.service.ended;

    const moved = await run({ DATA_DIR, DATABASE_URL }, 'migrate-data').ended;
    expect(moved).toMatchObject({ code: 0, stderr: '' });
    expect(moved.stdout).toMatch(/\nfiles: 1 of 1 rows\n[^]*\nmoved: start the service/);
    expect(moved.stdout).not.toContain('postgres:postgres@');

    const wrong = await run({ DATA_DIR }).ended;
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain('set DATABASE_URL to start there');
    const after = await start({ DATA_DIR, DATABASE_URL });
    expect(await (await after.client.files.content(file.id)).text()).toBe(chatLines(3, 'echo'));
    after.service.kill('SIGTERM');
    await after.service.ended;
    const again = await run({ DATA_DIR, DATABASE_URL }, 'migrate-data').ended;
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(/^[^\n]* was moved already[^\n]*\n$/);
  }, 60_000);

  it('says in one line what is missing', async () => {
    const DATA_DIR = join(await temporaryFolder(), 'data');
    await mkdir(DATA_DIR);
    const ends = async (env: Env, ...args: string[]) => {
      const { code, stderr } = await run(env, ...args).ended;
      expect(code).toBe(1);
      return stderr;
    };
    expect(await ends({ DATA_DIR }, 'migrate-data')).toMatch(/^cannot move: DATABASE_URL is not set: .*\n$/);
    const DATABASE_URL = 'postgres://me:secret@127.0.0.1:1/none';
    expect(await ends({ DATA_DIR, DATABASE_URL }, 'migrate-data')).toMatch(
      /^cannot move: The data folder .*data \(DATA_DIR\) has no database to move\.\n$/,
    );
    const service = await start({ DATA_DIR });
    service.service.kill('SIGTERM');
    await service.service.ended;
    const unreachable = await ends({ DATA_DIR, DATABASE_URL }, 'migrate-data');
    expect(unreachable).toMatch(/^cannot move: connect ECONNREFUSED 127\.0\.0\.1:1\n$/);
    expect(await ends({ DATA_DIR }, 'migrate')).toMatch(/^unknown command 'migrate'.*\n$/);
  }, 60_000);
});
