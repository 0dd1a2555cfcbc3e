/**
 * A disk as power loss leaves it. What was synced is there; of what was not, any part may be: POSIX promises nothing
 * about a write before its file is synced, nor about a name before its folder is. Modelled to be as unkind as a file system may
 * be: each name and each write by itself, writes also torn at sectors or replaced by zeros.
 */
import { dirname } from 'node:path';
import type { Random } from '../harness/random.ts';
import type { Step } from './trace.ts';

/** What a disk writes as a whole or not at all, bytes. */
const SECTOR = 512;

/** What happens to what was not synced. */
export type Fate = 'all lost' | 'all kept' | 'some lost';

interface Node {
  readonly isFolder: boolean;
  /** What is safe. */
  content: Buffer;
  pending: Change[];
  /** Its size as the process sees it. */
  size: number;
}

type Change = { readonly order: number } & (
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly size: number }
);

/** A name that appears (with its node) or goes (null) in a folder. */
interface NameChange {
  readonly order: number;
  readonly path: string;
  readonly node: Node | null;
}

/** The files of an image by path; null for a folder. */
export type Image = Map<string, Buffer | null>;

export class DiskModel {
  /** Names as the process sees them. */
  readonly #names = new Map<string, Node>();
  readonly #safeNames = new Map<string, Node>();
  #pendingNames: NameChange[] = [];
  readonly #syncs = new Map<number, number>();
  readonly #root: string;
  #order = 0;

  /** `root`: the folder that was there before, safe. */
  constructor(root: string) {
    this.#root = root;
    const node = newNode(true);
    this.#names.set(root, node);
    this.#safeNames.set(root, node);
  }

  apply(step: Step): void {
    this.#order++;
    switch (step.kind) {
      case 'create':
        if (!this.#names.has(step.path)) this.#name(step.path, newNode(false));
        break;
      case 'mkdir':
        this.#name(step.path, newNode(true));
        break;
      case 'remove':
        this.#name(step.path, null);
        break;
      case 'rename': {
        const node = this.#names.get(step.path) ?? null;
        this.#name(step.to, node);
        this.#name(step.path, null);
        break;
      }
      case 'write':
        this.#write(step);
        break;
      case 'truncate':
        this.#truncate(step);
        break;
      case 'sync begins':
        this.#syncs.set(step.sync, this.#order);
        break;
      case 'sync ends':
        this.#sync(step.path, this.#syncs.get(step.sync) ?? 0);
        break;
      case 'sent':
        break;
    }
  }

  /** What may be found after power was lost now. */
  image(fate: Fate, random: Random): Image {
    const survives = (): boolean => fate === 'all kept' || (fate === 'some lost' && random.next() < 0.5);
    const names = new Map(this.#safeNames);
    for (const change of this.#pendingNames) if (survives()) setName(names, change);
    const image: Image = new Map();
    for (const [path, node] of names) {
      if (!hasFolders(names, this.#root, path)) continue;
      image.set(path, node.isFolder ? null : contentOf(node, fate, random));
    }
    return image;
  }

  #name(path: string, node: Node | null): void {
    const change = { order: this.#order, path, node };
    setName(this.#names, change);
    this.#pendingNames.push(change);
  }

  #write({ path, position, bytes }: Extract<Step, { kind: 'write' }>): void {
    const node = this.#names.get(path);
    // A file that was removed while it was open.
    if (node === undefined) return;
    const at = position ?? node.size;
    node.pending.push({ order: this.#order, kind: 'write', position: at, bytes });
    node.size = Math.max(node.size, at + bytes.length);
  }

  #truncate({ path, size }: Extract<Step, { kind: 'truncate' }>): void {
    const node = this.#names.get(path);
    if (node === undefined) return;
    node.pending.push({ order: this.#order, kind: 'truncate', size });
    node.size = size;
  }

  #sync(path: string, before: number): void {
    const node = this.#names.get(path);
    if (node === undefined) return;
    if (node.isFolder) {
      const isCovered = (change: NameChange): boolean =>
        dirname(change.path) === path && change.order <= before;
      for (const change of this.#pendingNames) if (isCovered(change)) setName(this.#safeNames, change);
      this.#pendingNames = this.#pendingNames.filter((change) => !isCovered(change));
    } else {
      for (const change of node.pending)
        if (change.order <= before) node.content = changed(node.content, change);
      node.pending = node.pending.filter((change) => change.order > before);
    }
  }
}

function newNode(isFolder: boolean): Node {
  return { isFolder, content: Buffer.alloc(0), pending: [], size: 0 };
}

function setName(names: Map<string, Node>, { path, node }: NameChange): void {
  if (node === null) names.delete(path);
  else names.set(path, node);
}

/** True where the whole way down from the root is there. */
function hasFolders(names: ReadonlyMap<string, Node>, root: string, path: string): boolean {
  for (let folder = path; folder !== root; folder = dirname(folder)) {
    if (!names.has(dirname(folder))) return false;
  }
  return true;
}

function contentOf(node: Node, fate: Fate, random: Random): Buffer {
  if (fate === 'all lost') return node.content;
  let content = node.content;
  for (const change of node.pending) {
    const harmed = fate === 'all kept' || change.kind === 'truncate' ? change : harm(change, random);
    if (harmed !== null && (change.kind === 'write' || fate === 'all kept' || random.next() < 0.5)) {
      content = changed(content, harmed);
    }
  }
  return content;
}

/** A write that was under way: whole, gone, torn at a sector, or with room made for it but nothing in it. */
function harm(change: Extract<Change, { kind: 'write' }>, random: Random): Change | null {
  const { bytes } = change;
  switch (random.between(0, 3)) {
    case 0:
      return change;
    case 1:
      return { ...change, bytes: Buffer.alloc(bytes.length) };
    case 2:
      return {
        ...change,
        bytes: bytes.subarray(0, random.between(0, Math.floor(bytes.length / SECTOR)) * SECTOR),
      };
    default:
      return null;
  }
}

function changed(content: Buffer, change: Change): Buffer {
  if (change.kind === 'truncate') {
    return Buffer.concat([content.subarray(0, change.size)], change.size);
  }
  const { position, bytes } = change;
  if (bytes.length === 0) return content;
  const result = Buffer.concat([content], Math.max(content.length, position + bytes.length));
  bytes.copy(result, position);
  return result;
}
