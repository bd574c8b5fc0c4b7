// A second reader and writer of sealed notes, after protocols/sealing.md, sharing no code with
// liaison: HPKE from @hpke/core and @hpke/hybridkem-x-wing, HKDF and AES-GCM from Node.
//
//   node sealing.mjs check ../sealing.json    agrees with every note and opens every wrap, or throws
//   node sealing.mjs add ../sealing.json      checks, then adds wraps and a note of its own making

import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { XWing } from '@hpke/hybridkem-x-wing'

const MADE_BY = '@hpke/core 1.9.0, @hpke/hybridkem-x-wing 0.7.0'
const kem = new XWing()
const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes256Gcm() })
assert.equal(kem.id, 0x647a)

const b64 = (data) => Buffer.from(data).toString('base64')
const bytes = (text) => Uint8Array.from(Buffer.from(text, 'base64')) // a copy with a buffer of its own
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b }
const withLengths = (...fields) =>
  Buffer.concat(fields.flatMap((f) => [u32(Buffer.byteLength(f)), Buffer.from(f)]))

const sealInfo = (c) => withLengths('liaison/seal/1', c.note_id, c.charter, c.signer, c.kind)
const wrapInfo = (c, wrapper, statement, commitment) => withLengths(
  'liaison/wrap/1', c.note_id, c.charter, c.signer, wrapper, statement, b64(commitment))
const okmOf = (secret, info) => Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), info, 76))

function padded (size) {
  const e = Math.floor(Math.log2(size))
  const unit = 2 ** (e - (Math.floor(Math.log2(Math.max(e, 1))) + 1))
  return Math.max(1024, Math.ceil(size / unit) * unit)
}

function plaintextOf (content) {
  const parts = content.parts.map((p) => {
    const part = { bytes: bytes(p.data).length }
    for (const name of ['lang', 'name', 'role', 'type']) if (p[name] !== null) part[name] = p[name]
    return part
  })
  const inner = Buffer.concat([
    Buffer.from(JSON.stringify({ parts, subject: content.subject, v: 1 }) + '\n'),
    ...content.parts.map((p) => bytes(p.data))])
  const out = Buffer.alloc(padded(4 + inner.length))
  u32(inner.length).copy(out)
  inner.copy(out, 4)
  return out
}

function encrypt (okm, plaintext) {
  const cipher = createCipheriv('aes-256-gcm', okm.subarray(0, 32), okm.subarray(32, 44))
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function decrypt (okm, ciphertext) {
  const decipher = createDecipheriv('aes-256-gcm', okm.subarray(0, 32), okm.subarray(32, 44))
  decipher.setAuthTag(ciphertext.subarray(-16))
  return Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()])
}

async function wrap (secret, publicKey, info) {
  const recipientPublicKey = await kem.deserializePublicKey(publicKey)
  const { ct, enc } = await suite.seal({ recipientPublicKey, info }, secret)
  return Buffer.concat([Buffer.from(enc), Buffer.from(ct)])
}

async function unwrap (data, seed, info) {
  const recipientKey = await kem.deserializePrivateKey(seed)
  const enc = data.subarray(0, 1120)
  return Buffer.from(await suite.open({ recipientKey, enc, info }, data.subarray(1120)))
}

async function check (vectors) {
  for (const key of vectors.keys) {
    const { publicKey } = await kem.generateKeyPairDerand(bytes(key.seed))
    assert.equal(b64(await kem.serializePublicKey(publicKey)), key.public)
  }
  for (const [size, whole] of vectors.padded_bytes) assert.equal(padded(size), whole)
  let opened = 0
  for (const note of vectors.notes) {
    const info = sealInfo(note.context)
    const okm = okmOf(bytes(note.secret), info)
    assert.equal(b64(info), note.info)
    assert.equal(b64(okm), note.okm)
    assert.equal(b64(okm.subarray(44)), note.commitment)
    assert.equal(b64(plaintextOf(note.content)), note.plaintext)
    assert.equal(b64(encrypt(okm, bytes(note.plaintext))), note.ciphertext)
    assert.equal(b64(decrypt(okm, bytes(note.ciphertext))), note.plaintext)
    for (const w of note.wraps) {
      const key = vectors.keys.find((k) => k.statement === w.statement)
      const info = wrapInfo(note.context, w.wrapper, w.statement, bytes(note.commitment))
      assert.equal(b64(await unwrap(bytes(w.wrap), bytes(key.seed), info)), note.secret)
      opened += 1
    }
  }
  console.log(`agrees: ${vectors.keys.length} keys, ${vectors.notes.length} notes, ${opened} wraps`)
}

async function wrapsOf (vectors, note) {
  const wraps = []
  const wrapper = b64(randomBytes(32))
  for (const key of vectors.keys) {
    const info = wrapInfo(note.context, wrapper, key.statement, bytes(note.commitment))
    const made = await wrap(bytes(note.secret), bytes(key.public), info)
    wraps.push({ made_by: MADE_BY, wrapper, statement: key.statement, wrap: b64(made) })
  }
  return wraps
}

async function add (vectors) {
  for (const note of vectors.notes) note.wraps.push(...await wrapsOf(vectors, note))
  const context = {
    note_id: '0198c0de-0000-7000-8000-0000000000ff',
    charter: b64(randomBytes(32)),
    signer: b64(randomBytes(32)),
    kind: 'demarche'
  }
  const part = (data, type, role, name, lang) => ({ data: b64(data), lang, name, role, type })
  const content = {
    subject: 'Note verbale \u2014 "\u00dcbersetzung" \ud83d\udd4a',
    parts: [
      part('Gr\u00fc\u00dfe aus JavaScript.', 'text/plain', 'authentic', null, 'de'),
      part(randomBytes(1500), 'application/octet-stream', 'courtesy', 'anlage.bin', null)]
  }
  const secret = randomBytes(32)
  const info = sealInfo(context)
  const okm = okmOf(secret, info)
  const plaintext = plaintextOf(content)
  const note = {
    name: 'written wholly by the other implementation',
    made_by: MADE_BY,
    context,
    info: b64(info),
    secret: b64(secret),
    okm: b64(okm),
    commitment: b64(okm.subarray(44)),
    content,
    plaintext: b64(plaintext),
    ciphertext: b64(encrypt(okm, plaintext))
  }
  note.wraps = await wrapsOf(vectors, note)
  vectors.notes.push(note)
}

const [, , verb, path] = process.argv
assert.ok(['check', 'add'].includes(verb) && path, 'usage: node sealing.mjs check|add FILE')
const vectors = JSON.parse(readFileSync(path, 'utf8'))
await check(vectors)
if (verb === 'add') {
  await add(vectors)
  await check(vectors)
  writeFileSync(path, JSON.stringify(vectors, null, 1) + '\n')
}
