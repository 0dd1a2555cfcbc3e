/** The benchmark's input: chat requests of about 1 KB. */
const LINE_BYTES = 1000;

/** The body of request `number`, padded so that its line has about LINE_BYTES. */
export function requestBody(number: number): string {
  const question = `Question ${number}: `;
  return JSON.stringify({
    model: 'bench',
    messages: [{ role: 'user', content: question + 'lorem ipsum '.repeat(100).slice(0, LINE_BYTES - 190) }],
    temperature: 0,
  });
}

/** A JSONL file of `lines` requests, in pieces of some 1 MB. */
export function* inputFile(lines: number): Generator<Buffer> {
  let piece = '';
  for (let number = 1; number <= lines; number++) {
    piece += `{"custom_id":"request-${number}","method":"POST","url":"/v1/chat/completions","body":${requestBody(number)}}\n`;
    if (piece.length > 1024 * 1024 || number === lines) {
      yield Buffer.from(piece);
      piece = '';
    }
  }
}
