import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './node-process.ts';

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

export interface Copy {
  /** The stage that it copies from; null: the build context. */
  readonly from: string | null;
  readonly sources: readonly string[];
  readonly target: string;
}

/** The Dockerfile's stages, each a list of its instructions; the last one becomes the image. */
const stages = readStages(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));

function readStages(text: string): Instruction[][] {
  const result: Instruction[][] = [];
  const lines = text.replaceAll(/^#.*\n/gm, '').replaceAll(/\\\n\s*/g, '');
  for (const [, name, rest] of lines.matchAll(/^([A-Z]+)\s+(.*)$/gm)) {
    if (name === 'FROM') result.push([]);
    result.at(-1)?.push({ name: name as string, rest: rest as string });
  }
  return result;
}

function parseCopy(text: string): Copy {
  const words = text.split(/\s+/);
  const from = words[0]?.startsWith('--from=') ? (words.shift() as string).slice('--from='.length) : null;
  return { from, sources: words.slice(0, -1), target: words.at(-1) as string };
}

function values(instructions: readonly Instruction[], name: string): string[] {
  return instructions.filter((instruction) => instruction.name === name).map(({ rest }) => rest);
}

/** What the final stage says under the instruction `name`, each time. */
export function image(name: string): string[] {
  return values(stages.at(-1) ?? [], name);
}

/** What all stages say under the instruction `name`. */
export function allStages(name: string): string[] {
  return stages.flatMap((stage) => values(stage, name));
}

/** Everything that the stages copy. */
export const copies = allStages('COPY').map(parseCopy);

/** What the final stage copies. */
export const imageCopies = image('COPY').map(parseCopy);

/** The words of CMD in exec form. */
export const imageCommand = JSON.parse(image('CMD')[0] ?? '') as string[];

/** The words of the health check's command in exec form. */
export const healthCommand = JSON.parse((image('HEALTHCHECK')[0] ?? '').replace(/^.* CMD /, '')) as string[];

/** The variables that a container gets from the image. */
export const imageEnv: Readonly<Record<string, string>> = Object.fromEntries(
  image('ENV')
    .flatMap((rest) => rest.split(' '))
    .map((pair) => pair.split('=')),
);
