/** The floor: a node:http handler that answers 200 to everything, as the smallest decision endpoint would. */
import { createServer } from 'node:http'
import { announce } from './listen.ts'

announce(
  createServer((_req, res) => {
    res.writeHead(200, { 'content-length': '0', 'x-auth-user': 'ada' })
    res.end()
  }),
)
