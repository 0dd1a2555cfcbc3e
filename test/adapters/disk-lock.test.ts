import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openDataFolder } from '../../src/adapters/disk/index.ts';
import { temporaryPath } from './disk-recorder.ts';

/**
 * Says `ready`, and at a line of input opens the folder and says `open` or why not. It then lives as long as its
 * input is open. It keeps no reference to the folder and collects its garbage.
 */
const OTHER_PROCESS = `
  const [module, path] = process.argv.slice(1);
  const { openDataFolder } = await import(module);
  console.log('ready');
  process.stdin.on('data', async () => {
    const said = await openDataFolder({ path }).then(() => 'open', (error) => error.message);
    for (let i = 0; i < 3; i++) { gc(); await new Promise(setImmediate); }
    console.log(said);
  });
`;

interface OtherProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it says next. */
  said(): Promise<string>;
  /** Tells it to open the folder. */
  open(): Promise<string>;
}

async function startOther(path: string): Promise<OtherProcess> {
  const module = new URL('../../src/adapters/disk/index.ts', import.meta.url).href;
  const args = ['--expose-gc', '--input-type=module', '--eval', OTHER_PROCESS, module, path];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => end(child, 'SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = async (): Promise<string> => String((await lines.next()).value);
  expect(await said()).toBe('ready');
  return {
    child,
    pid: child.pid as number,
    said,
    open() {
      child.stdin.write('\n');
      return said();
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

/** Opens the folder and closes it again. */
async function openAndClose(path: string): Promise<void> {
  await (await openDataFolder({ path })).close();
}

describe('a data folder', () => {
  it('is created where it is missing, for its owner only, and answers absolute paths', async () => {
    const path = join(await temporaryPath(), 'a', 'b');
    const folder = await openDataFolder({ path: `${path}/../b` });
    expect(folder.path).toBe(path);
    expect(dirname(folder.databasePath)).toBe(path);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await readdir(path)).toSorted()).toEqual(['lock', 'lock-owner']);
    await folder.close();
  });

  it('is open to one process at a time; the other is told the folder and who has it', async () => {
    const path = await temporaryPath();
    const other = await startOther(path);
    expect(await other.open()).toBe('open');
    const refused = await openDataFolder({ path }).catch(String);
    expect(refused).toContain(
      `The data folder ${path} is in use by another process (pid ${other.pid} on host ${hostname()}).`,
    );
    await end(other.child, 'SIGTERM');
    await openAndClose(path);
  });

  it('goes to exactly one of ten processes that want it at the same moment', async () => {
    const path = await temporaryPath();
    const all = await Promise.all(Array.from({ length: 10 }, () => startOther(path)));
    const said = await Promise.all(all.map((other) => other.open()));
    const winner = all[said.indexOf('open')];
    expect(said.filter((line) => line === 'open')).toHaveLength(1);
    for (const line of said.filter((other) => other !== 'open')) {
      expect(line).toContain(
        `The data folder ${path} is in use by another process (pid ${winner?.pid} on host`,
      );
    }
  });

  it('is free at once when its process was killed', async () => {
    const path = await temporaryPath();
    for (let round = 0; round < 3; round++) {
      const other = await startOther(path);
      expect(await other.open()).toBe('open');
      await end(other.child, 'SIGKILL');
    }
    expect(await readFile(join(path, 'lock-owner'), 'utf8')).toMatch(/^pid \d+ on host /);
    await openAndClose(path);
  });

  it('is free though a dead process left the id of this one, as after the restart of a container', async () => {
    const path = await temporaryPath();
    for (const owner of [`pid ${process.pid} on host ${hostname()}\n`, 'pid 1 on host elsewhere\n']) {
      await mkdir(path, { recursive: true });
      await writeFile(join(path, 'lock-owner'), owner);
      await expect(openAndClose(path)).resolves.toBeUndefined();
    }
  });

  it('is free though its files are full of garbage', async () => {
    const path = await temporaryPath();
    for (const garbage of ['x', 'pid one', '\0'.repeat(5000), 'garbage '.repeat(1000)]) {
      await mkdir(path, { recursive: true });
      await writeFile(join(path, 'lock'), garbage);
      await writeFile(join(path, 'lock-owner'), garbage);
      const folder = await openDataFolder({ path });
      await expect(openDataFolder({ path })).rejects.toThrow(/is in use by another process \(pid \d+ on/);
      await folder.close();
    }
  });

  it('is locked though it is not known by whom', async () => {
    const path = await temporaryPath();
    const folder = await openDataFolder({ path });
    await writeFile(join(path, 'lock-owner'), 'garbage');
    await expect(openDataFolder({ path })).rejects.toThrow(
      `The data folder ${path} is in use by another process. `,
    );
    await folder.close();
  });

  it('can be opened twice by nobody, not even by the process that has it', async () => {
    const path = await temporaryPath();
    const folder = await openDataFolder({ path });
    await expect(openDataFolder({ path })).rejects.toThrow(`(pid ${process.pid} on host ${hostname()})`);
    const other = await startOther(path);
    expect(await other.open()).toContain(`is in use by another process (pid ${process.pid} on`);
    await folder.close();
    expect(await other.open()).toBe('open');
  });

  it('is waited for a moment, in which a process that is ending may let it go', async () => {
    const path = await temporaryPath();
    const folder = await openDataFolder({ path });
    const began = performance.now();
    await expect(openDataFolder({ path })).rejects.toThrow(/is in use/);
    expect(performance.now() - began).toBeGreaterThan(400);
    await folder.close();
  });

  it('stays with its next owner when it is closed a second time', async () => {
    const path = await temporaryPath();
    const first = await openDataFolder({ path });
    await first.close();
    const second = await openDataFolder({ path });
    await first.close();
    await expect(openDataFolder({ path })).rejects.toThrow(`(pid ${process.pid} on host`);
    await second.close();
    expect(await readdir(path)).toEqual(['lock']);
  });

  it('that cannot be used says which and why', async () => {
    const path = await temporaryPath();
    await mkdir(join(path, 'lock'), { recursive: true });
    await expect(openDataFolder({ path })).rejects.toThrow(`The data folder ${path} cannot be locked: `);
    await writeFile(join(path, 'file'), '');
    await chmod(path, 0o700);
    await expect(openDataFolder({ path: join(path, 'file') })).rejects.toThrow(join(path, 'file'));
  });
});
