/** How the demonstration prints: numbered steps, commands dimmed and progress in place where stdout is a terminal. */
import { styleText } from 'node:util';

const { stdout } = process;
const CLEAR_LINE = '\r\u001b[2K';

let steps = 0;
let lastProgress = '';

/** A line of its own, outside the steps. */
export function comment(line: string): void {
  stdout.write(`${line}\n`);
}

/** The headline of the next step. */
export function title(line: string): void {
  steps += 1;
  stdout.write(`\n${styleText('bold', `${steps}. ${line}`, { stream: stdout })}\n`);
}

/** What a user would type to the same effect. */
export function command(line: string): void {
  stdout.write(`   ${styleText('dim', `$ ${line}`, { stream: stdout })}\n`);
}

/** What came of the step. */
export function done(line: string): void {
  stdout.write(`   ${line}\n`);
}

/** How far the step is: one updating line on a terminal, else a line for each change. Null ends it. */
export function progress(line: string | null): void {
  if (stdout.isTTY) stdout.write(line === null ? '\n' : `${CLEAR_LINE}   ${line}`);
  else if (line !== null && line !== lastProgress) done(line);
  lastProgress = line ?? '';
}
