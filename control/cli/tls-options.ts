/** The options of listeners that speak TLS, lead to it, or stand behind a balancer; rows of the one table in `options.ts`. */
import {
  readAddress,
  readBlocks,
  readDuration,
  readAddresses,
  readOneOf,
  readPaths,
  readTcpAddresses,
} from './option-values.ts'
import type { OptionTable } from './options.ts'

export const tlsOptions = {
  'tls-listen': {
    describe: 'Address to serve https on, host:port, with the certificates of --tls-cert; repeatable',
    array: true,
    defaultDescription: 'none',
    read: readTcpAddresses,
  },
  'tls-cert': {
    describe: 'PEM file of a certificate and its chain; several are chosen by name, the first is the default',
    array: true,
    defaultDescription: 'none',
    read: readPaths,
  },
  'tls-key': {
    describe: 'PEM files of their keys, in the same order',
    array: true,
    defaultDescription: 'the files of --tls-cert',
    read: readPaths,
  },
  http2: {
    describe: 'HTTP/2 on --tls-listen: on, off, or websockets: on, with WebSockets over it (RFC 8441)',
    initial: 'on',
    read: readOneOf('on', 'off', 'websockets'),
  },
  hsts: {
    describe:
      'How long browsers shall insist on https for hosts of Postern, such as 180d; when all is settled',
    defaultDescription: 'not said',
    read: readDuration,
  },
  'redirect-listen': {
    describe: 'Address that answers plain http with the way to https only, such as 0.0.0.0:80',
    defaultDescription: 'none',
    read: readAddress,
  },
  'proxy-protocol': {
    describe: 'Those of the addresses above where each connection must begin with a PROXY header (v1, v2)',
    array: true,
    defaultDescription: 'none',
    read: readAddresses,
  },
  'proxy-protocol-from': {
    describe: 'CIDR blocks of the balancers that send it; others are closed',
    array: true,
    defaultDescription: 'nobody',
    read: readBlocks,
  },
} as const satisfies OptionTable
