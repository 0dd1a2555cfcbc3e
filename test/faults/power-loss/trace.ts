/** What a process did to its disk and said to its clients, in order, as `strace` saw it. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/**
 * One thing that happened. A step stands where its system call has ended; a sync has two, for it covers what was there
 * when it began; what is sent stands where its call began, for the client may read it before the call returns.
 */
export type Step =
  | { readonly kind: 'create' | 'mkdir' | 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly position: number | null;
      readonly bytes: Buffer;
    }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'sync begins' | 'sync ends'; readonly path: string; readonly sync: number }
  | { readonly kind: 'sent'; readonly text: string };

/** The calls that change a disk, and those that write to sockets. */
const CALLS = (
  'openat write pwrite64 writev pwritev pwritev2 fsync fdatasync ftruncate truncate fallocate ' +
  'rename renameat renameat2 unlink unlinkat rmdir mkdir mkdirat link linkat copy_file_range sendfile'
).split(' ');

/** Calls that the parser does not know what to make of; a trace that holds one is refused. */
const UNKNOWN = /^(fallocate|link|linkat|copy_file_range|sendfile)$/;

/** The command that runs another one and writes its trace to `file`: all strings whole and in hex. */
export function straceCommand(file: string): string[] {
  return [
    'strace',
    '-f',
    '--seccomp-bpf',
    '-y',
    '-xx',
    '-s',
    '9999999',
    '-e',
    `trace=${CALLS.join()}`,
    '-o',
    file,
  ];
}

/** The steps that concern files below `root` (an absolute path), and everything sent. */
export async function readTrace(file: string, root: string): Promise<Step[]> {
  const parser = new Parser(root);
  for await (const line of createInterface({ input: createReadStream(file, 'latin1') })) parser.line(line);
  return parser.steps;
}

class Parser {
  readonly steps: Step[] = [];
  readonly #root: string;
  /** By thread: what a call that has not ended yet was begun with. */
  readonly #begun = new Map<string, { readonly text: string; readonly sync: number }>();
  #syncs = 0;

  constructor(root: string) {
    this.#root = root;
  }

  line(line: string): void {
    const match = /^(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|((\w+)\(.*))$/.exec(line);
    if (match === null) return;
    const [, thread = '', resumed, rest = '', whole = ''] = match;
    if (resumed !== undefined) {
      const begun = this.#begun.get(thread);
      this.#begun.delete(thread);
      if (begun !== undefined) this.#ended(begun.text + rest, begun.sync);
      return;
    }
    const isWhole = !whole.endsWith('<unfinished ...>');
    const text = isWhole ? whole : whole.slice(0, -'<unfinished ...>'.length).trimEnd();
    const sync = this.#began(text);
    if (isWhole) this.#ended(text, sync);
    else this.#begun.set(thread, { text, sync });
  }

  #began(text: string): number {
    const call = callOf(text);
    const path = pathOfHandle(text);
    if (call.endsWith('sync') && this.#isBelowRoot(path)) {
      this.steps.push({ kind: 'sync begins', path, sync: ++this.#syncs });
      return this.#syncs;
    }
    if (/^writev?$/.test(call) && path.startsWith('socket:')) {
      this.steps.push({ kind: 'sent', text: Buffer.concat(stringsOf(text)).toString('latin1') });
    }
    return 0;
  }

  #ended(text: string, sync: number): void {
    const result = / = (-?\d+)/.exec(text.slice(text.lastIndexOf(') ') + 1))?.[1];
    if (result === undefined || Number(result) < 0) return;
    const call = callOf(text);
    const step = this.#stepOf(call, text, Number(result), sync);
    if (step === null) return;
    if (UNKNOWN.test(call))
      throw new Error(`the trace has a ${call} of ${step.path}, which nothing here understands`);
    this.steps.push(step);
    if (call === 'openat' && /\bO_TRUNC\b/.test(text)) {
      this.steps.push({ kind: 'truncate', path: step.path, size: 0 });
    }
  }

  #stepOf(call: string, text: string, result: number, sync: number): Exclude<Step, { kind: 'sent' }> | null {
    const handlePath = pathOfHandle(text);
    const [first, second] = stringsOf(text).map((bytes) => bytes.toString());
    const isOfHandle = /^(f|p?write)/.test(call);
    const path = isOfHandle ? handlePath : (first ?? '');
    if (!this.#isBelowRoot(path)) return null;
    switch (call) {
      case 'openat':
        return /\bO_CREAT\b/.test(text) ? { kind: 'create', path } : null;
      case 'mkdir':
      case 'mkdirat':
        return { kind: 'mkdir', path };
      case 'unlink':
      case 'unlinkat':
      case 'rmdir':
        return { kind: 'remove', path };
      case 'rename':
      case 'renameat':
      case 'renameat2':
        return { kind: 'rename', path, to: second ?? '' };
      case 'ftruncate':
      case 'truncate':
        return { kind: 'truncate', path, size: Number(/, (\d+)\)? += /.exec(text)?.[1]) };
      case 'fsync':
      case 'fdatasync':
        return { kind: 'sync ends', path, sync };
      default: {
        const bytes = Buffer.concat(stringsOf(text)).subarray(0, result);
        const position = call.startsWith('pwrite') ? Number(/, (\d+)\) += /.exec(text)?.[1]) : null;
        return { kind: 'write', path, position, bytes };
      }
    }
  }

  #isBelowRoot(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`);
  }
}

function callOf(text: string): string {
  return text.slice(0, text.indexOf('('));
}

/** The path (or `socket:[…]`) of the first argument where that is a file descriptor. */
function pathOfHandle(text: string): string {
  const start = text.indexOf('(');
  const match = /^\(\d+<((?:\\x[0-9a-f]{2})*)>/.exec(text.slice(start, start + 4000));
  return match === null ? '' : fromHex(match[1] as string).toString();
}

/** The string arguments. */
function stringsOf(text: string): Buffer[] {
  const strings: Buffer[] = [];
  for (let at = text.indexOf('"'); at !== -1;) {
    const end = text.indexOf('"', at + 1);
    strings.push(fromHex(text.slice(at + 1, end)));
    at = text.indexOf('"', end + 1);
  }
  return strings;
}

function fromHex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex');
}
