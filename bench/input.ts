/** The benchmark's input: chat requests of a given size. */

/** The body of request `number`, padded so that its line has about `lineBytes`. */
export function requestBody(number: number, lineBytes = 1000, model = 'bench'): string {
  const question = `Question ${number}: `;
  const padding = 'lorem ipsum '.repeat(Math.ceil(lineBytes / 12)).slice(0, Math.max(0, lineBytes - 190));
  return JSON.stringify({
    model,
    messages: [{ role: 'user', content: question + padding }],
    temperature: 0,
  });
}

/** A JSONL file of `lines` requests, in pieces of some 1 MB. */
export function* inputFile(lines: number, lineBytes = 1000, model = 'bench'): Generator<Buffer> {
  let piece = '';
  for (let number = 1; number <= lines; number++) {
    piece += `{"custom_id":"request-${number}","method":"POST","url":"/v1/chat/completions","body":${requestBody(number, lineBytes, model)}}\n`;
    if (piece.length > 1024 * 1024 || number === lines) {
      yield Buffer.from(piece);
      piece = '';
    }
  }
}
