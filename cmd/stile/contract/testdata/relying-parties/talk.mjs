// What both programs have in common: they are told what to ask for in their
// argument, say the address that the browser is to open, are told where the
// browser was sent back to, and say what they read. What goes wrong they say too.
import { createInterface } from 'node:readline'

export const asked = JSON.parse(process.argv[2])

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

// back is the response of the browser: an address, or the body of a form.
export const back = async () => JSON.parse((await lines.next()).value)

export const importKey = (jwk) => crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

export const run = async (party) => {
  try {
    say(await party())
  } catch (err) {
    say({ error: err.error ?? err.code ?? String(err), why: String(err), cause: String(err.cause ?? '') })
  }
  process.exit(0)
}
