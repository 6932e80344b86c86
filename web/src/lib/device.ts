/** What a session's device is called: a User-Agent (with an address behind it) in, a browser and a system out. */

const browsers: readonly [RegExp, string][] = [
  [/\bEdg(?:A|iOS)?\/(\d+)/, 'Edge'],
  [/\bOPR\/(\d+)/, 'Opera'],
  [/\b(?:Firefox|FxiOS)\/(\d+)/, 'Firefox'],
  [/\b(?:HeadlessChrome|Chrome|CriOS)\/(\d+)/, 'Chrome'],
  [/\bVersion\/(\d+)[\d.]* (?:Mobile\/\w+ )?Safari\//, 'Safari'],
  [/^curl\/(\d+)/, 'curl'],
]
const systems: readonly [RegExp, string][] = [
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
]

/** `Firefox 146 on Android, 10.0.0.7`; what isn't known is given back as it is. */
export function deviceText(device: string): string {
  const browser = browsers.find(([pattern]) => pattern.test(device))
  if (browser === undefined) return device === '' ? 'unknown device' : device
  const version = browser[0].exec(device)?.[1] ?? ''
  const system = systems.find(([pattern]) => pattern.test(device))?.[1]
  const address = /\(([0-9a-f.:]+)\)$/i.exec(device)?.[1]
  return `${browser[1]} ${version}${system === undefined ? '' : ` on ${system}`}${address === undefined ? '' : `, ${address}`}`
}
