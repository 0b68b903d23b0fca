// Runs http-cache-tests (https://cache-tests.fyi) against `GET /api/v1/users/{user_id}`.
//
// The suite knows neither users nor JSON, so this stands on both sides of the service:
//
//   the suite's client -> front -> the service -> origin -> the suite's server
//
// `front` maps the id of a test to a user. `origin` wraps what the suite's server answers, headers
// included, as JSON; `front` unwraps it. The number of a request, which the suite sends in a header
// of its own, travels in X-Request-Id, which the service passes on. Status and headers of a success
// are the origin's, but for Age, which is the service's own. Where the suite's server hangs up and
// the service says so, `front` answers as that server would have.
//
// Usage: node judge.mjs <folder of the suite> <list of tests that are not asked for>
// Prints `origin <url>`, reads the service's address from stdin, runs, and prints what failed.

import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import readline from 'node:readline'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'

const [suite, list] = process.argv.slice(2)
const load = name => import(pathToFileURL(path.join(suite, name)))

// Headers that belong to one connection, and those that front makes itself.
const NOT_PASSED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host', 'accept-encoding'])

const users = new Map()
const tests = new Map()
const hungUp = new Set()
let service = null

function userOf (test) {
  if (!users.has(test)) {
    const user = String(users.size + 1)
    users.set(test, user)
    tests.set(user, test)
  }
  return users.get(test)
}

function passed (headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_PASSED.has(name)))
}

/** Sends a request and returns status, headers and body. */
function call (url, method, headers, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false }, response => {
      const chunks = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve({
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(chunks).toString()
      }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function bodyOf (request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function listen (handler) {
  const server = http.createServer((request, response) => {
    handler(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${server.address().port}`
}

/** What the service takes for its origin. */
function originOf (server) {
  return async (request, response) => {
    const test = tests.get(request.headers['x-user-id'])
    const [, number, rest] = /^(\d+)~\d+~(.*)$/.exec(request.headers['x-request-id'])
    const url = `${server}/test/${test}${Buffer.from(rest, 'base64url')}`
    const headers = { ...passed(request.headers), 'req-num': number }
    const answer = await call(url, 'GET', headers).catch(error => {
      hungUp.add(request.headers['x-request-id'])
      throw error
    })
    const { status, headers: told, body } = answer
    const wrapped = JSON.stringify({ status, headers: told, body })
    response.writeHead(answer.status, { ...passed(answer.headers), 'content-type': 'application/json' })
    // Without a body there is nothing to wrap.
    response.end([204, 304].includes(answer.status) ? undefined : wrapped)
  }
}

/** What the suite's client takes for the cache. */
function frontOf (server) {
  return async (request, response) => {
    const body = await bodyOf(request)
    const [, kind, test, rest] = /^\/([^/]*)\/([^/?]*)(.*)$/.exec(request.url)
    if (kind !== 'test') {
      const answer = await call(server + request.url, request.method, passed(request.headers), body)
      response.writeHead(answer.status, passed(answer.headers))
      return response.end(answer.body)
    }
    // Tests that share a template repeat the header.
    const number = parseInt(request.headers['req-num'])
    const id = `${number}~${userOf(test)}~${Buffer.from(rest).toString('base64url')}`
    const headers = { ...passed(request.headers), 'x-request-id': id }
    const url = `http://${service}/api/v1/users/${userOf(test)}`
    const answer = await call(url, request.method, headers, body)
    if (answer.status === 502 && hungUp.has(id)) {
      response.writeHead(200, { 'server-request-count': number })
      return response.end(test)
    }
    let origin = {}
    try {
      origin = JSON.parse(answer.body)
    } catch {}
    const own = ['age', 'cache-status'].filter(name => name in answer.headers)
    const told = { ...passed(origin.headers ?? answer.headers) }
    delete told.age
    for (const name of own) told[name] = answer.headers[name]
    const status = answer.status === 200 ? origin.status ?? 200 : answer.status
    response.writeHead(status, told)
    response.end(origin.body ?? answer.body)
  }
}

/** Starts the suite's own server, and returns its address and how to stop it. */
async function serve () {
  // It takes a number alone, so a free one is looked for.
  const probe = http.createServer().listen(0)
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  const pidfile = path.join(suite, `server-${port}.pid`)
  const server = spawn(process.execPath, [path.join(suite, 'server/server.mjs')], {
    env: { npm_config_protocol: 'http', npm_config_port: String(port), npm_config_pidfile: pidfile },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines = readline.createInterface({ input: server.stdout })
  await once(lines, 'line')
  lines.on('line', () => {})
  const stop = () => {
    server.kill()
    fs.rmSync(pidfile, { force: true })
  }
  return [`http://127.0.0.1:${port}`, stop]
}

/** The reason for which a test is not asked for, if there is one. */
function reasonFor (id, group, reasons) {
  return reasons[id] ?? reasons[`${group}/*`]
}

async function main () {
  const { reasons } = JSON.parse(fs.readFileSync(list))
  const { runTests, getResults } = await load('client/runner.mjs')
  const groups = (await load('tests/index.mjs')).default
  const [server, stop] = await serve()
  process.on('exit', stop)
  console.log(`origin ${await listen(originOf(server))}`)
  const front = await listen(frontOf(server))
  const [line] = await once(readline.createInterface({ input: process.stdin }), 'line')
  service = line.trim()

  const used = new Set()
  const asked = new Map()
  let left = 0
  for (const group of groups) {
    group.tests = group.tests.filter(test => {
      // A question has no wrong answer.
      if (test.kind === 'check') return false
      const reason = reasonFor(test.id, group.id, reasons)
      if (reason) {
        used.add(test.id in reasons ? test.id : `${group.id}/*`)
        left += 1
        return process.env.ALL === '1'
      }
      asked.set(test.id, test.name)
      return true
    })
  }
  // The suite asks fetch not to cache, which makes fetch send `no-cache`.
  const plain = (url, { cache, ...init } = {}) => fetch(url, init)
  await runTests(groups, plain, false, front, 60)
  const results = getResults()
  const failed = Object.entries(results).filter(([, result]) => result !== true)
  for (const [id, [kind, message]] of failed) {
    console.log(`failed ${id}: ${asked.get(id) ?? ''}\n       ${kind}: ${message}`)
  }
  const unused = Object.keys(reasons).filter(name => !used.has(name))
  for (const name of unused) {
    console.log(`failed ${name}: the list names it, and the suite has no such test`)
  }
  const passedCount = Object.keys(results).length - failed.length
  console.log(`http-cache-tests: ${passedCount} passed, ${failed.length} failed, ${left} not asked for`)
  process.exit(failed.length || unused.length || passedCount === 0 ? 1 : 0)
}

main().catch(error => {
  console.error(error)
  process.exit(2)
})
