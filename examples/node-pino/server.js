// A small web application that logs with pino and ships its logs over OTLP/HTTP with pino's OpenTelemetry transport.
//
// Where to is OpenTelemetry's own setting, OTEL_EXPORTER_OTLP_ENDPOINT (default http://localhost:4318); a key goes into
// OTEL_EXPORTER_OTLP_HEADERS (x-api-key=…). PORT is where the application listens.
import http from 'node:http'
import { pino } from 'pino'

const log = pino(
  { level: 'debug' },
  pino.transport({
    targets: [
      {
        target: 'pino-opentelemetry-transport',
        level: 'debug',
        options: {
          loggerName: 'checkout',
          serviceVersion: '1.0.0',
          resourceAttributes: { 'service.name': 'checkout' },
          logRecordProcessorOptions: { recordProcessorType: 'batch', exporterOptions: { protocol: 'http' } },
        },
      },
      { target: 'pino/file', level: 'info', options: { destination: 1 } },
    ],
  }),
)

let orders = 0

const server = http.createServer((request, response) => {
  const started = performance.now()
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const line = {
      'http.method': request.method,
      'http.path': request.url,
      'http.status_code': status,
      duration_ms: Math.round((performance.now() - started) * 100) / 100,
    }
    log[status >= 500 ? 'error' : status >= 400 ? 'warn' : 'info'](line, `${request.method} ${request.url} ${status}`)
  }
  if (request.method === 'GET' && request.url === '/') return answer(200, { shop: 'open' })
  if (request.method === 'POST' && request.url === '/orders') {
    orders += 1
    log.debug({ order: orders }, 'order accepted')
    return answer(201, { order: orders })
  }
  if (request.url === '/fail') {
    try {
      JSON.parse('{"price":')
    } catch (err) {
      log.error({ err }, 'price list is damaged')
      return answer(500, { error: 'price list is damaged' })
    }
  }
  return answer(404, { error: 'no such page' })
})

server.listen(Number(process.env.PORT ?? 3001), process.env.HOST ?? '127.0.0.1', () => {
  log.info({ port: server.address().port }, 'checkout listens')
})

// The transport's thread sends what still waits when the process ends by itself.
process.on('SIGINT', () => server.close(() => log.flush(() => setTimeout(() => process.exit(0), 500))))
