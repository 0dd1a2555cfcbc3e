import { mkdtemp, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { openDataFolder } from '../../src/adapters/disk/index.ts';
import type { DataFolder } from '../../src/adapters/disk/index.ts';

/** A path in a new temporary folder that is removed after the test. */
export async function temporaryPath(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'anyllm-disk-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return join(path, 'data');
}

/** A data folder that is closed and removed after the test. */
export async function temporaryFolder(): Promise<DataFolder> {
  const folder = await openDataFolder({ path: await temporaryPath() });
  onTestFinished(() => folder.close());
  return folder;
}

const HANDLE_CALLS = ['write', 'writev', 'read', 'sync', 'datasync', 'truncate', 'close'] as const;

export type Call = (...args: unknown[]) => Promise<unknown>;

/** Stands in for a call of the file system, which it may make itself with `real`. */
type StandIn = (real: Call, args: unknown[]) => Promise<unknown>;

interface DiskRecorder {
  /** Such as `sync blobs/ab`, each when it has succeeded, in that order. Temporary names and hashes are shown as `*`. */
  readonly calls: string[];
  /** The paths of the handles that are open. */
  openPaths(): string[];
  /** The next call that matches is answered by `standIn`. */
  intercept(call: RegExp, standIn: StandIn): void;
  /** The next call that matches rejects with an error of that code. */
  fail(call: RegExp, code: string): void;
}

function errorOf(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** Watches what is done to files below `root` through node:fs/promises until the test ends, and makes it fail. */
export function recordDisk(root: string): DiskRecorder {
  const calls: string[] = [];
  const interceptions: { call: RegExp; standIn: StandIn }[] = [];
  const handles: { handle: FileHandle; name: string }[] = [];

  function nameOf(path: unknown): string {
    const name = relative(root, String(path));
    return name.replaceAll(/[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '*');
  }

  async function perform(call: string, real: Call, args: unknown[]): Promise<unknown> {
    const i = interceptions.findIndex((interception) => interception.call.test(call));
    const [interception] = i === -1 ? [] : interceptions.splice(i, 1);
    const result = await (interception === undefined ? real(...args) : interception.standIn(real, args));
    calls.push(call);
    return result;
  }

  function watch(handle: FileHandle, name: string): FileHandle {
    handles.push({ handle, name });
    const methods = handle as unknown as Record<string, Call>;
    for (const method of HANDLE_CALLS) {
      const real = (methods[method] as Call).bind(handle);
      methods[method] = (...args) => perform(`${method} ${name}`, real, args);
    }
    return handle;
  }

  const { open, rename } = fs;
  vi.spyOn(fs, 'open').mockImplementation(async (...args) => {
    const name = nameOf(args[0]);
    return watch((await perform(`open ${name}`, open as Call, args)) as FileHandle, name);
  });
  vi.spyOn(fs, 'rename').mockImplementation(async (from, to) => {
    await perform(`rename ${nameOf(from)} → ${nameOf(to)}`, rename as Call, [from, to]);
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });

  const intercept = (call: RegExp, standIn: StandIn): void => void interceptions.push({ call, standIn });
  return {
    calls,
    openPaths: () => handles.filter(({ handle }) => handle.fd !== -1).map(({ name }) => name),
    intercept,
    fail: (call, code) => intercept(call, () => Promise.reject(errorOf(code))),
  };
}
