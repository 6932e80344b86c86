/** Templates of three kinds, as a tree for `t.testdir`: for both runtimes, for one only, with files. */
export const templates = {
  blank: {
    'template.yml':
      'title: Blank\nports: []\ncontainer: { image: postern/blank:1 }\nhost: { command: [sleep, infinity] }\n',
  },
  ide: {
    'template.yml':
      'title: IDE\ndefault_port: 8080\nports: [{ port: 8080, name: ide }]\ncontainer: { image: postern/ide:1 }\nhost: { lacks: "the IDE needs a container" }\n',
  },
  web: {
    'template.yml':
      'title: Web\ndefault_port: 3000\nports: [{ port: 3000 }]\ncpu: 2\ncontainer: { image: postern/web:1 }\nhost: { command: [node, app.js], files: [app.js] }\n',
    'app.js': 'alive()',
  },
}
