/** Input files for batches whose results can be told apart line by line. */
import { hashOf } from './upstream.ts';

/** A line of an input file, and how to know its request again. */
export interface InputLine {
  readonly customId: string;
  /** SHA-256 of its body. */
  readonly bodyHash: string;
}

export interface Input {
  readonly text: string;
  readonly lines: readonly InputLine[];
}

let inputs = 0;

/** `count` chat requests of about `bytes` bytes each, unlike those of any other input. `modelOf` names line n's model. */
export function makeInput(
  count: number,
  {
    bytes = 300,
    modelOf = () => 'witness',
  }: { readonly bytes?: number; readonly modelOf?: (n: number) => string } = {},
): Input {
  const tag = `input ${++inputs}`;
  const lines: InputLine[] = [];
  let text = '';
  for (let n = 1; n <= count; n++) {
    const customId = `line-${n}`;
    const content = `${tag}, question ${n} `.padEnd(Math.max(0, bytes - 180), 'x');
    const body = JSON.stringify({ model: modelOf(n), messages: [{ role: 'user', content }] });
    lines.push({ customId, bodyHash: hashOf(body) });
    text += `{"custom_id":"${customId}","method":"POST","url":"/v1/chat/completions","body":${body}}\n`;
  }
  return { text, lines };
}
