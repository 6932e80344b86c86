// Cases of what goes through an upgraded connection (RFC 6455 §5): frames are the ends' own business, whatever their bits.
import type { Case } from './torture-case.ts'
import { valuesOf } from './torture-messages.ts'
import { accepting, asks } from './torture-upgrades.ts'
import { until } from './until.ts'

export const frameCases: readonly Case[] = [
  {
    name: 'extensions are agreed on by the ends; frames pass whatever their bits, close codes too',
    app: accepting('', 'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n'),
    async play(stage) {
      const client = await stage.client()
      const offer = 'permessage-deflate; client_max_window_bits, x-webkit-deflate-frame'
      client.send(stage.fill(asks(`Sec-WebSocket-Extensions: ${offer}\r\n`)))
      await client.answered(1)
      const [request] = stage.upstream.requests
      const [answer] = client.answers
      const app = request?.connection
      if (request === undefined || answer === undefined || app === undefined) throw new Error('not joined')
      stage.same(valuesOf(request, 'sec-websocket-extensions'), [offer], 'what was offered')
      stage.same(
        valuesOf(answer, 'sec-websocket-extensions'),
        ['permessage-deflate; server_no_context_takeover'],
        'what was agreed on',
      )
      // Compressed; reserved bits and codes that mean nothing; a ping; a fragment; the end, by a code of the app's own.
      const frames = '\xc1\x07\xf2H\xcd\xc9\xc9\x07\x00\xf3\x01a\x89\x00\x01\x01b\x80\x01c\x88\x05\x0f\xa1bye'
      app.socket.write(frames, 'latin1')
      client.send(frames)
      await until(
        () => client.reader.tunnel.length >= frames.length && app.reader.tunnel.length >= frames.length,
        {
          what: 'the frames at both ends',
        },
      )
      stage.same([client.reader.tunnel, app.reader.tunnel], [frames, frames], 'the frames')
    },
  },
]
