/** The command that makes a machine a host of this server. */
import { joinWords } from './words.ts'

/** The token goes by the environment: a flag would show in the process list. */
export function joinCommand(serverUrl: string, hostName: string, token: string): string {
  return `POSTERN_JOIN_TOKEN=${token} postern agent -S ${joinWords([serverUrl])} --deployment-name ${joinWords([hostName])}`
}
